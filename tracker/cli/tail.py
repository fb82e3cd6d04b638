"""`tracker tail`: what a job prints, from any byte on, live.

At a terminal, escape sequences of the job are taken out but for colours; in a pipe every byte comes as the job wrote it.
"""

import sys
from functools import partial

import click

from tracker.audit.escape import Console
from tracker.cli.found import find_run
from tracker.cli.items import RunName, run_argument, streaming
from tracker.cli.session import connect, example, run, uri_option


@click.command(epilog=example("tracker tail digits/4f2a --follow", "tracker tail digits/4f2a --offset -2000"))
@uri_option
@run_argument
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes; ends by itself when the run has ended.")
@click.option("--offset", type=int, default=0, metavar="BYTE", help="Begin at this byte; negative counts from the end.")
@click.option("--source", type=click.Choice(["stdout", "stderr", "logger"]), help="Only what was printed there.")
def tail(uri: str | None, run_name: RunName, follow: bool, offset: int, source: str | None) -> None:
    """Print what a run has printed, byte for byte, and with --follow what it prints from now on.

    At a terminal, escape sequences are taken out but for colours. Where it stopped is where it can go on: pass the number of bytes
    you have as --offset.
    """
    params = {"offset": str(offset)} | ({"follow": "true"} if follow else {}) | ({"source": source} if source else {})
    run(partial(_tail, uri, run_name, params))


async def _tail(uri: str | None, name: RunName, params: dict[str, str]) -> None:
    terminal = Console() if sys.stdout.isatty() else None
    out = sys.stdout.buffer
    try:
        async with connect(uri) as transport:
            name = await find_run(transport, name)
            async with streaming(transport, f"{name.path}/log", params) as chunks:
                async for chunk in chunks:
                    out.write(terminal.feed(chunk).encode() if terminal else chunk)
                    out.flush()
    finally:
        if terminal:
            out.write(terminal.end().encode())
            out.flush()
