"""`tracker export` and `tracker import`: the log as a file of lines, and back."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import BinaryIO

import anyio
import click

from events.log import open_log
from tracker.audit.exchange import Header, Imported, merge, open_source, restore
from tracker.audit.exchange import export as export_lines
from tracker.cli.files import reading, storing
from tracker.cli.screen import Failed, bar, note, print_json, say
from tracker.cli.session import directory, example, json_option, run, target_of, uri_option


@click.command(epilog=example("tracker export -o backup.ndjson", "tracker export --run digits/4f2a | zstd > one-run.ndjson.zst"))
@uri_option
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="New file to write. [default: standard output]")
@click.option("--run", "run_name", metavar="PROJECT/UID", help="Only this run.")
@click.option("--project", help="Only the runs of this project.")
@click.option("--after", type=click.IntRange(0), default=0, metavar="OFFSET", help="Only what came later, to add to an earlier export.")
def export(uri: str | None, output: Path | None, run_name: str | None, project: str | None, after: int) -> None:
    """Write events as lines of JSON, without loss: NaN, bytes and unknown events included.

    The file says at its end how many events it has, so a cut one is noticed. A whole export imported into an empty directory gives back
    the same log, with the same chain of digests. Works beside a running server, on its data directory. Artifacts' bytes are files in
    <data>/blobs and are not in it.
    """
    if sum(map(bool, (run_name, project, after))) > 1:
        raise click.UsageError("--run, --project and --after exclude each other")
    data = directory(uri, "export")
    if output is None and sys.stdout.isatty():
        raise click.UsageError("an export is for a file or a pipe: give --output FILE")
    stream = f"run/{run_name}" if run_name else None
    prefix = f"run/{project}/" if project else None
    run(partial(_export, data, output, stream, prefix, after))


async def _export(data: Path, output: Path | None, stream: str | None, prefix: str | None, after: int) -> None:
    async with reading(data) as log:
        end = log.head.offset
        if stream and not await log.version(stream):
            raise Failed(f"there is no run {stream.removeprefix('run/')}: `tracker runs` lists them", 2)
        header = Header(run_tracker_export=1, after=after, until=end, stream=stream, prefix=prefix)
        batches = log.read(after, until=end, stream=stream, prefix=prefix)
        with bar("exporting", end) as moved:
            file = _created(output) if output else sys.stdout.buffer
            async for chunk in export_lines(batches, header, moved):
                file.write(chunk)
            file.flush()
            if output:
                file.close()
        note(f"exported up to offset {end:,}" + (f" to {output}" if output else ""))


def _created(path: Path) -> BinaryIO:
    try:
        return path.open("xb")
    except FileExistsError:
        raise Failed(f"{path} exists: an export never overwrites, give another name", 2) from None


@click.command("import", epilog=example("tracker import backup.ndjson --uri ./restored", "zstdcat one-run.ndjson.zst | tracker import -"))
@uri_option
@json_option
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
def import_(uri: str | None, as_json: bool, file: str) -> None:
    """Record the events of an export (`-` reads standard input). Events that are there already are skipped.

    Into an empty or new directory, a whole export is restored exactly: offsets, times and chain. The directory must not be in use by a
    server or a job at the same time.

    Exit code: 0 all of the file is recorded now, 1 the file or an event in it was refused (all before it is recorded), 2 usage.
    """
    target = target_of(uri)
    if target.kind != "directory":
        raise Failed(f"import works on the files: run it where they are, with --uri DIR (not {target.uri})", 2)
    done = run(partial(_import, target.path, file))
    if as_json:
        print_json(done)
        return
    if done.restored:
        chain = "the chain is the one it was exported with" if done.same_chain else "the chain was made anew"
        say(f"restored {done.events:,} events; {chain}")
    else:
        say(f"imported {done.events:,} events, {done.duplicates:,} were here already")


async def _import(data: Path, file: str) -> Imported:
    size = 0 if file == "-" else (await anyio.Path(file).stat()).st_size
    async with AsyncExitStack() as stack:
        stream = sys.stdin.buffer if file == "-" else stack.enter_context(Path(file).open("rb"))  # noqa: ASYNC230, SIM115 - read in a thread, closed by the stack
        source = await open_source(_lines(stream))
        store = await stack.enter_async_context(storing(data))
        moved = stack.enter_context(bar("importing", size))
        if source.header.whole and not (await store.head()).offset:
            return await restore(source, store, lambda _: moved(stream.tell() if size else 0))
        async with open_log(store) as log:
            return await merge(source, log, lambda _: moved(stream.tell() if size else 0))


async def _lines(stream: BinaryIO) -> AsyncIterator[bytes]:
    """Lines of a file, read in a worker thread, some hundred at a time."""
    while lines := await anyio.to_thread.run_sync(stream.readlines, 1 << 20):
        for line in lines:
            yield line
