"""`tracker abort`: have a job stop."""

from functools import partial
from typing import Any

import click

from tracker.cli.found import find_run, run_document
from tracker.cli.items import RunName, run_argument
from tracker.cli.screen import print_json, say
from tracker.cli.session import connect, example, json_option, run, target_of, uri_option
from tracker.executors.abort import abort_run
from tracker.local_transport import Follower


@click.command(epilog=example("tracker abort digits/4f2a --reason 'wrong data'", "tracker abort digits/4f2a --iteration 3"))
@uri_option
@json_option
@run_argument
@click.option("--iteration", type=click.IntRange(0), default=0, help="Only this iteration; the others go on.")
@click.option("--reason", default="", help="Why; it is shown as the run's error.")
def abort(uri: str | None, as_json: bool, run_name: RunName, iteration: int, reason: str) -> None:
    """Have a run, or one of its iterations, end as aborted.

    The job that works on it hears of it and stops, also when it writes the directory itself.
    """
    found = run(partial(_abort, uri, run_name, iteration, reason))
    if as_json:
        print_json(found)
    else:
        what = f"iteration {iteration} of " if iteration else ""
        say(f"{what}{found['project']}/{found['uid']} is {found['state']}")


async def _abort(uri: str | None, name: RunName, iteration: int, reason: str) -> dict[str, Any]:
    async with connect(uri) as transport:
        chosen = await find_run(transport, name)
        if not isinstance(transport, Follower):
            return dict(await transport.ask("POST", f"{chosen.path}/abort", None, {"iteration": iteration, "reason": reason}))
        await abort_run(chosen.uid, chosen.project, iteration, reason, target_of(uri).uri)  # by a journal, as a job would say it
        return await run_document(transport, chosen, iteration)
