"""`tracker tail`: what a job prints, from any byte on, live.

At a terminal, escape sequences of the job are taken out but for colours; in a pipe every byte comes as the job wrote it.
"""

import sys
from functools import partial

import click

from tracker.audit.escape import Console
from tracker.cli.found import find_run
from tracker.cli.items import RunName, run_argument, streaming
from tracker.cli.session import example, following, run, uri_option
from tracker.errors import OutOfRange
from tracker.transport import Transport


@click.command(epilog=example("tracker tail digits/4f2a --follow", "tracker tail digits/4f2a --offset -2000"))
@uri_option
@run_argument
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes; ends by itself when the run has ended.")
@click.option("--offset", type=int, default=0, metavar="BYTE", help="Begin at this byte; negative counts from the end.")
@click.option("--source", type=click.Choice(["stdout", "stderr", "logger"]), help="Only what was printed there.")
def tail(uri: str | None, run_name: RunName, follow: bool, offset: int, source: str | None) -> None:
    """Print what a run has printed, byte for byte, and with --follow what it prints from now on.

    At a terminal, escape sequences are taken out but for colours. Where it stopped is where it can go on: pass the number of bytes
    you have as --offset. With --follow it goes on by itself when the server was restarted.
    """
    run(partial(_tail, uri, run_name, follow, offset, source))


async def _tail(uri: str | None, name: RunName, follow: bool, position: int, source: str | None) -> None:
    terminal = Console() if sys.stdout.isatty() else None
    out = sys.stdout.buffer
    params = ({"follow": "true"} if follow else {}) | ({"source": source} if source else {})

    async def read(transport: Transport) -> None:
        nonlocal name, position
        name = await find_run(transport, name)
        if follow and position < 0:
            position = max(await _size(transport, name) + position, 0)
        async with streaming(transport, f"{name.path}/log", params | {"offset": str(position)}) as chunks:
            async for chunk in chunks:
                out.write(terminal.feed(chunk).encode() if terminal else chunk)
                out.flush()
                position += len(chunk)

    try:
        await following(uri, read, resumable=follow and not source)  # of one source, the bytes do not tell the position
    finally:
        if terminal:
            out.write(terminal.end().encode())
            out.flush()


async def _size(transport: Transport, name: RunName) -> int:
    """The bytes of a console: an offset beyond its end is answered with them."""
    try:
        async with streaming(transport, f"{name.path}/log", {"offset": str(2**62)}) as chunks:
            async for _ in chunks:
                pass
    except OutOfRange as error:
        return error.size
    return 0
