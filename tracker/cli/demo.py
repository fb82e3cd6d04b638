"""`tracker demo`: a real training job from end to end, in front of your eyes, then held against what was stored.

A server is started on a fresh data directory and a free loopback port. `examples/train_digits.py` runs against it as any job would, in
a process of its own that knows nothing but TRACKER_URI. Its run is found in the live feed and its console is tailed while it trains. Then
the commands a person would type show what was recorded, and `demo_checks` asks the server and the files whether all of it is true.
Only then is the exit code 0.
"""

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import anyio
import anyio.abc
import click
import msgspec

from tracker.audit.escape import Console
from tracker.cli.demo_checks import Evidence, check_all
from tracker.cli.screen import BEGINNING

PROJECT = "digits"
SECONDS_TO_START = 20
SECONDS_TO_TRAIN = 120


class Stage(msgspec.Struct, frozen=True):
    """Where the demo plays: a workspace of its own, the server's address, and the environment of every process in it."""

    workspace: Path
    url: str

    @property
    def data(self) -> Path:
        """The server's data directory."""
        return self.workspace / "data"

    @property
    def printed(self) -> Path:
        """What the job printed to its own output, to compare the console with."""
        return self.workspace / "job.out"

    @property
    def journals(self) -> Path:
        """Where the job's journal is until the server has it all."""
        return self.workspace / "journals"

    def environment(self) -> dict[str, str]:
        """The variables of a process that records to, or reads from, this server."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("TRACKER_")}
        # Matrices this small are multiplied sooner by one thread, and on a busy machine ten times sooner.
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        return {**threads, **plain, "TRACKER_URI": self.url, "TRACKER_JOURNALS": str(self.journals), "PYTHONUNBUFFERED": "1"}


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Workspace to create and keep; by default a fresh temporary one, kept too.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the demo's server; by default a free one.")
def demo(data: Path | None, port: int) -> None:
    """Run a real training job against a fresh server, watch it live, and check what was stored."""
    job = find_example()
    workspace = (data or Path(tempfile.mkdtemp(prefix="tracker-demo-"))).absolute()
    if data and data.exists() and any(data.iterdir()):
        raise click.ClickException(f"{data} is not empty: the demo needs a fresh directory")
    workspace.mkdir(parents=True, exist_ok=True)
    stage = Stage(workspace=workspace, url=f"http://127.0.0.1:{port or free_port()}")
    try:
        good = anyio.run(play, stage, job)
    except aiohttp.ClientError as error:
        raise click.ClickException(f"the server did not answer as it should: {error}; its log is {workspace / 'server.log'}") from error
    if not good:
        raise click.ClickException(f"not all of it is true; look into {workspace}")


def find_example() -> Path:
    """The example job: beside the packages in a clone, under share/ when installed. Raises ClickException saying what is missing."""
    beside = Path(__file__).parents[2] / "examples" / "train_digits.py"
    installed = Path(sys.prefix) / "share" / "run-tracker" / "examples" / "train_digits.py"
    for path in (beside, installed):
        if path.exists():
            break
    else:
        raise click.ClickException(f"examples/train_digits.py is neither at {beside} nor at {installed}")
    missing = [name for name in ("sklearn", "matplotlib") if not _importable(name)]
    if missing:
        raise click.ClickException(f"the example needs {' and '.join(missing)}: pip install 'run-tracker[demo]'")
    return path


def _importable(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def free_port() -> int:
    """A loopback port nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def play(stage: Stage, job: Path) -> bool:
    """The whole demo. True when everything it showed is true of the stored data."""
    began = time.monotonic()
    heading(f"a server on {stage.data}")
    async with serving(stage), aiohttp.ClientSession(stage.url, timeout=aiohttp.ClientTimeout(total=SECONDS_TO_TRAIN)) as http:
        click.echo(f"listening at {stage.url}")
        heading(f"python {job.name}, its console tailed live")
        uid, console, exit_code = await train(stage, http, job)
        evidence = Evidence(
            http=http, project=PROJECT, uid=uid, console=console, exit_code=exit_code, printed=stage.printed, data=stage.data,
            journals=stage.journals,
        )  # fmt: skip
        exit_codes = []
        for command in [*shown(f"{PROJECT}/{uid[:BEGINNING]}"), ["verify", "--uri", str(stage.data)]]:
            heading(shlex.join(["tracker", *command]))
            exit_codes.append(await tracker(stage, *command))
        heading("is all of that true of the stored data?")
        answers = [
            *await check_all(evidence),
            ("every command above could show what it was asked for", not any(exit_codes[:-1])),
            ("tracker verify found nothing wrong", exit_codes[-1] == 0),
        ]
    for sentence, holds in answers:
        click.echo(f"{click.style('yes', fg='green') if holds else click.style('NO ', fg='red', bold=True)}  {sentence}")
    click.echo(f"\n{time.monotonic() - began:.1f} s in all")
    say_how_to_look_further(stage, f"{PROJECT}/{uid[:BEGINNING]}")
    return all(holds for _, holds in answers)


def heading(text: str) -> None:
    """A line that separates the scenes."""
    click.echo(click.style(f"\n== {text}", bold=True))


@contextlib.asynccontextmanager
async def serving(stage: Stage) -> AsyncIterator[None]:
    """`tracker serve` as a process of its own, ready on entry, asked to stop and waited for on exit."""
    port = stage.url.rpartition(":")[2]
    command = [*TRACKER, "serve", "--data", str(stage.data), "--host", "127.0.0.1", "--port", port]
    log = stage.workspace / "server.log"
    with log.open("wb") as output:
        server = await anyio.open_process(command, env=stage.environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        await until_ready(stage, server, log)
        yield
    finally:
        with anyio.CancelScope(shield=True), contextlib.suppress(ProcessLookupError):
            server.send_signal(signal.SIGTERM)
            with anyio.move_on_after(15) as patience:
                await server.wait()
            if patience.cancelled_caught:
                server.kill()
                await server.wait()
            await server.aclose()


async def until_ready(stage: Stage, server: anyio.abc.Process, log: Path) -> None:
    """Return when the server answers. Raises ClickException with its last words when it does not."""
    with anyio.move_on_after(SECONDS_TO_START):
        async with aiohttp.ClientSession(stage.url) as http:
            while server.returncode is None:
                with contextlib.suppress(aiohttp.ClientConnectionError):
                    async with http.get("/health") as reply:
                        if reply.status == 200:
                            return
                await anyio.sleep(0.05)
    raise click.ClickException(f"the server did not come up; its log says:\n{last_words(log)}")


async def train(stage: Stage, http: aiohttp.ClientSession, job: Path) -> tuple[str, bytes, int]:
    """Run the job and tail it. The uid of its run, the console as it arrived, and the job's exit code."""
    with stage.printed.open("wb") as output:
        process = await anyio.open_process(
            [sys.executable, str(job)], env=stage.environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    uid = ""
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_stop_waiting_when_failed, process, tasks.cancel_scope)
            uid = await first_run(http)
            tasks.cancel_scope.cancel()
        if not uid:
            raise click.ClickException(f"the job failed:\n{last_words(stage.printed)}")
        console = await follow(http, uid)
        return uid, console, await process.wait()
    except TimeoutError:
        raise click.ClickException(f"the job took more than {SECONDS_TO_TRAIN} s; it said:\n{last_words(stage.printed)}") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.aclose()


async def _stop_waiting_when_failed(process: anyio.abc.Process, waiting: anyio.CancelScope) -> None:
    if await process.wait() != 0:
        waiting.cancel()


def last_words(path: Path) -> str:
    """The end of what a process wrote."""
    return path.read_text(errors="replace")[-2000:]


async def first_run(http: aiohttp.ClientSession) -> str:
    """The uid of the first run of the project, from the live feed of events: nobody told the job which uid to take.

    The feed may be ahead of the views; reading the run at the event's offset waits for them.
    """
    async with http.get("/v1/events", params={"prefix": f"run/{PROJECT}/", "follow": "true"}) as feed:
        feed.raise_for_status()
        async for line in feed.content:
            if line.strip():
                event = msgspec.json.decode(line)
                uid = str(event["stream"].split("/")[2])
                async with http.get(f"/v1/projects/{PROJECT}/runs/{uid}", params={"min_offset": str(event["offset"])}) as reply:
                    reply.raise_for_status()
                return uid
    raise click.ClickException("the feed of events ended before the job began")


async def follow(http: aiohttp.ClientSession, uid: str) -> bytes:
    """Show the console as it grows; ends by itself when the run has ended. Returns its bytes exactly as they came."""
    came, shown_text = bytearray(), Console()
    async with http.get(f"/v1/projects/{PROJECT}/runs/{uid}/log", params={"offset": "0", "follow": "true"}) as tail:
        tail.raise_for_status()
        async for chunk in tail.content.iter_any():
            came += chunk
            click.echo(shown_text.feed(chunk), nl=False)
    click.echo(shown_text.end(), nl=False)
    return bytes(came)


def shown(name: str) -> list[list[str]]:
    """The commands that show what was recorded, as a person would type them."""
    return [
        ["runs", "results.best_accuracy > 0.9", "--project", PROJECT],
        ["runs", "metrics.loss < 0.1 AND params.hidden >= 64", "--project", PROJECT, "--iterations", "--order-by", "metrics.accuracy DESC"],
        ["show", name],
        ["chart", name, "loss", "--iteration", "9"],
        ["replay", name, "--limit", "8"],
    ]


TRACKER = (sys.executable, "-c", "from tracker.cli.main import main; main()")


async def tracker(stage: Stage, *arguments: str) -> int:
    """Run a `tracker` command in the terminal of this one; its exit code."""
    sys.stdout.flush()
    done = await anyio.run_process([*TRACKER, *arguments], env=stage.environment(), stdout=None, stderr=None, check=False)
    return done.returncode


def say_how_to_look_further(stage: Stage, name: str) -> None:
    """Commands that work on what the demo leaves behind."""
    click.echo(
        f"""
The data stays in {stage.data}. To look further:

  export TRACKER_URI={stage.data}
  tracker show {name}
  tracker tail {name}
  tracker replay {name} --speed 10
  tracker replay {name} --at 600
  tracker history {name}
  tracker serve --data {stage.data}          # and http://127.0.0.1:8137/v1/openapi.json"""
    )
