"""`tracker export` and `tracker import`: the log as a file of lines, and back."""

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import BinaryIO

import anyio
import click
import msgspec

from events.log import open_log
from events.store import Store
from tracker.audit.carry import Carried, absent, carry, noting
from tracker.audit.exchange import Header, Imported, Source, merge, open_source, restore
from tracker.audit.exchange import export as export_lines
from tracker.audit.moment import counted
from tracker.blobs import Blobs
from tracker.cli.files import reading, storing
from tracker.cli.screen import Failed, bars, note, print_json, say
from tracker.cli.session import directory, example, json_option, run, target_of, uri_option

_NAMED = 10  # digests that are named when their bytes are missing


blobs_option = partial(click.option, "--blobs", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")


@click.command(
    epilog=example("tracker export -o backup.ndjson --blobs backup.blobs", "tracker export --run digits/4f2a | zstd > one-run.ndjson.zst")
)
@uri_option
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="New file to write. [default: standard output]")
@click.option("--run", "run_name", metavar="PROJECT/UID", help="Only this run.")
@click.option("--project", help="Only the runs of this project.")
@click.option("--after", type=click.IntRange(0), default=0, metavar="OFFSET", help="Only what came later, to add to an earlier export.")
@blobs_option(help="Copy artifacts' bytes into this directory, too; those already there stay.")
def export(uri: str | None, output: Path | None, run_name: str | None, project: str | None, after: int, blobs: Path | None) -> None:
    """Write events as lines of JSON, without loss: NaN, bytes and unknown events included.

    The file says at its end how many events it has, so a cut one is noticed. A whole export imported into an empty directory gives back
    the same log, with the same chain of digests. Works beside a running server, on its data directory.

    Artifacts' bytes are not in the file: --blobs copies them beside it, and `tracker import --blobs` takes them in.

    Exit code: 0 all is written, 1 bytes of artifacts are missing or changed, 2 usage.
    """
    if sum(map(bool, (run_name, project, after))) > 1:
        raise click.UsageError("--run, --project and --after exclude each other")
    data = directory(uri, "export")
    if output is None and sys.stdout.isatty():
        raise click.UsageError("an export is for a file or a pipe: give --output FILE")
    stream = f"run/{run_name}" if run_name else None
    prefix = f"run/{project}/" if project else None
    carried = run(partial(_export, data, output, stream, prefix, after, blobs))
    if blobs:
        _tell(carried)
    sys.exit(0 if carried.whole else 1)


async def _export(data: Path, output: Path | None, stream: str | None, prefix: str | None, after: int, blobs: Path | None) -> Carried:
    digests: set[str] = set()
    async with reading(data) as log:
        end = log.head.offset
        if stream and not await log.version(stream):
            raise Failed(f"there is no run {stream.removeprefix('run/')}: `tracker runs` lists them", 2)
        header = Header(run_tracker_export=1, after=after, until=end, stream=stream, prefix=prefix)
        batches = log.read(after, until=end, stream=stream, prefix=prefix)
        with bars() as moved, _output(output) as file:
            async for chunk in export_lines(noting(batches, digests) if blobs else batches, header, lambda to: moved("exporting", to, end)):
                file.write(chunk)
            file.flush()
            if output:
                os.fsync(file.fileno())
            carried = Carried()
            if blobs:
                carried = await _carry(digests, data / "blobs", blobs, moved)
        note(f"exported up to offset {end:,}" + (f" to {output}" if output else ""))
    return carried


def _output(path: Path | None) -> AbstractContextManager[BinaryIO]:
    try:
        return path.open("xb") if path else nullcontext(sys.stdout.buffer)
    except FileExistsError:
        raise Failed(f"{path} exists: an export never overwrites, give another name", 2) from None


async def _carry(digests: set[str], source: Path, target: Path, moved: Callable[[str, int, int], None]) -> Carried:
    await anyio.Path(target).mkdir(mode=0o700, parents=True, exist_ok=True)
    return await carry(digests, source, Blobs(target), lambda count: moved("copying artifacts", count, len(digests)))


def _tell(carried: Carried) -> None:
    """What became of artifacts' bytes, on standard error: an export may be on its way through the other one."""
    there = f", {carried.present:,} were there" if carried.present else ""
    note(f"copied the bytes of {counted(carried.copied, 'artifact')}{there}")
    for digests, what in ((carried.missing, "is missing"), (carried.damaged, "holds other bytes")):
        for digest in digests[:_NAMED]:
            note(f"{digest} {what}", style="red")
        if len(digests) > _NAMED:
            note(f"and {len(digests) - _NAMED:,} more", style="red")


@click.command(
    "import",
    epilog=example(
        "tracker import backup.ndjson --blobs backup.blobs --uri ./restored",
        "zstdcat one-run.ndjson.zst | tracker import - --blobs old/blobs",
    ),
)
@uri_option
@json_option
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@blobs_option(help="Take artifacts' bytes from here: what `export --blobs` wrote, or the blobs/ of a data directory.")
def import_(uri: str | None, as_json: bool, file: str, blobs: Path | None) -> None:
    """Record the events of an export (`-` reads standard input). Events that are there already are skipped.

    Into an empty or new directory, a whole export is restored exactly: offsets, times and chain. The directory must not be in use by a
    server or a job at the same time. Importing once more, with --blobs, adds bytes that were not at hand the first time.

    Exit code: 0 all of the file is recorded now, 1 the file or an event in it was refused (all before it is recorded), or bytes asked
    for with --blobs are missing, 2 usage.
    """
    target = target_of(uri)
    if target.kind != "directory":
        raise Failed(f"import works on the files: run it where they are, with --uri DIR (not {target.uri})", 2)
    if blobs and not blobs.exists():
        raise Failed(f"{blobs} does not exist", 2)
    done, carried, absent = run(partial(_import, target.path, file, blobs))
    if as_json:
        print_json({**msgspec.to_builtins(done), "blobs": carried, "blobs_absent": absent})
    else:
        say(_sentence(done))
        if blobs:
            _tell(carried)
    if absent:
        note(
            f"the bytes of {counted(absent, 'artifact')} are not here yet: import again with --blobs DIR, the blobs/ of where "
            "the events come from"
        )
    sys.exit(0 if carried.whole else 1)


def _sentence(done: Imported) -> str:
    if done.restored:
        chain = "the chain is the one it was exported with" if done.same_chain else "the chain was made anew"
        return f"restored {counted(done.events, 'event')}; {chain}"
    return f"imported {counted(done.events, 'event')}, {done.duplicates:,} were here already"


async def _import(data: Path, file: str, blobs: Path | None) -> tuple[Imported, Carried, int]:
    size = 0 if file == "-" else (await anyio.Path(file).stat()).st_size
    async with AsyncExitStack() as stack:
        stream = sys.stdin.buffer if file == "-" else stack.enter_context(Path(file).open("rb"))  # noqa: ASYNC230, SIM115 - read in a thread, closed by the stack
        source = await open_source(_lines(stream))
        store = await stack.enter_async_context(storing(data))
        moved = stack.enter_context(bars())
        done = await _record(source, store, lambda _: moved("importing", stream.tell() if size else 0, size))
        carried = await _carry(source.digests, blobs, data / "blobs", moved) if blobs else Carried()
        return done, carried, await absent(source.digests, Blobs(data / "blobs"))


async def _record(source: Source, store: Store, progress: Callable[[int], None]) -> Imported:
    if source.header.whole and not (await store.head()).offset:
        return await restore(source, store, progress)
    async with open_log(store) as log:
        return await merge(source, log, progress)


async def _lines(stream: BinaryIO) -> AsyncIterator[bytes]:
    """Lines of a file, read in a worker thread, some hundred at a time."""
    while lines := await anyio.to_thread.run_sync(stream.readlines, 1 << 20):
        for line in lines:
            yield line
