"""`tracker`: one program, a subcommand for each thing people ask of their runs.

A command parses its words, calls one function and prints. Commands live in modules of their own that are imported when they are used,
so that `tracker --help` needs none of them; what it says of each command stands in the table here.
"""

from importlib import import_module

import click

COMMANDS: dict[str, tuple[str, str, str]] = {  # name -> section, module:command, one line
    "demo": ("Begin", "demo:demo", "Train a real model and watch every part of the tracker at work."),
    "serve": ("Begin", "serve:serve", "Serve a data directory over HTTP."),
    "runs": ("Look", "runs:runs", "Search runs and list them."),
    "show": ("Look", "show:show", "Show one run: parameters, results, metrics, iterations, artifacts."),
    "chart": ("Look", "chart:chart", "Draw one metric of a run in the terminal."),
    "tail": ("Look", "tail:tail", "Print what a run prints, while it prints it."),
    "events": ("Look", "feed:events", "Print the events of the log, as they come if asked."),
    "lineage": ("Look", "lineage:lineage", "Show where data came from and which runs read it."),
    "info": ("Look", "info:info", "Show what is stored where, and how far the views are."),
    "replay": ("Audit", "story:replay", "Tell a run's events as they happened, or show its state at any moment."),
    "history": ("Audit", "story:history_", "Show who changed which field of a run, when."),
    "diff": ("Audit", "story:diff_", "Compare two moments of a run, or two runs."),
    "verify": ("Audit", "prove:verify", "Prove that the log is whole and the views are what it says."),
    "checkpoint": ("Audit", "prove:checkpoint", "Sign where the log stands, to prove later that it was not rewritten."),
    "export": ("Care", "exchange:export", "Write events as lines of JSON, without loss."),
    "import": ("Care", "exchange:import_", "Record events from lines of JSON; those already there are skipped."),
    "abort": ("Care", "abort:abort", "Have a running job stop; its run ends as aborted."),
    "sync": ("Care", "sync:sync", "Deliver what jobs left in their journals."),
    "rebuild": ("Care", "rebuild:rebuild", "Fold the views anew from the log."),
    "redact": ("Care", "redact:redact", "Remove the content of one event for good, on the record."),
    "purge": ("Care", "purge:purge_", "Remove all that a run in the trash holds for good, on the record."),
    "token": ("Care", "token:token", "Create, list and revoke tokens of a server."),
}


class Commands(click.Group):
    """Imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][1].partition(":")
        command = getattr(import_module(f"tracker.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a better answer to a name that is none."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "`tracker --help` lists them all."
            raise click.UsageError(f"there is no command {args[0]!r}: {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """The table by section, with no module imported."""
        for section in dict.fromkeys(section for section, _, _ in COMMANDS.values()):
            with formatter.section(section):
                formatter.write_dl([(name, text) for name, (of, _, text) in COMMANDS.items() if of == section], col_max=12)


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"run-tracker {version('run-tracker')}")
        ctx.exit()


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version and exit.")
def tracker() -> None:
    """Record, watch and prove what your jobs do.

    Where to look is said by --uri, or TRACKER_URI, as a data directory or http://host:port; otherwise it is ./tracker-data.
    Every command prints tables at a terminal, and takes --json for pipes where it prints data.
    """


def main() -> None:
    """The entry point."""
    tracker(prog_name="tracker")
