"""`tracker verify` and `tracker checkpoint`: what can be proved, and what to keep elsewhere so that more can be."""

import os
import sys
from functools import partial
from pathlib import Path

import click
from rich.text import Text

from events.checkpoint import new_key, open_checkpoint, sign
from events.errors import BadCheckpoint
from events.verify import Anchor
from tracker.audit.escape import line
from tracker.audit.moment import local
from tracker.audit.verify import Answer
from tracker.audit.verify import verify as answers_of
from tracker.cli.files import reading, views_file
from tracker.cli.screen import Failed, bars, note, print_json, say
from tracker.cli.session import directory, example, json_option, run, uri_option

_MARKS = {True: ("✓", "green"), False: ("✗", "bold red"), None: ("–", "dim")}


@click.command(epilog=example("tracker verify", "tracker verify --checkpoint sunday.note --key ada.pub"))
@uri_option
@json_option
@click.option(
    "--checkpoint", "notes", type=click.Path(exists=True, dir_okay=False, path_type=Path), multiple=True, help="Signed checkpoint."
)
@click.option(
    "--key", "keys", type=click.Path(exists=True, dir_okay=False, path_type=Path), multiple=True, help="Public key that signed it."
)
def verify(uri: str | None, as_json: bool, notes: tuple[Path, ...], keys: tuple[Path, ...]) -> None:
    """Prove that the log is whole and unchanged, that the views are what it says, and that artifacts have their bytes.

    Each question is answered by itself. Works beside a running server, on its data directory.

    Exit code: 0 all that was asked is proved, 1 a check failed, 2 usage.
    """
    data = directory(uri, "verify")
    anchors = _anchors(notes, keys)
    answers = run(partial(_verify, data, anchors))
    if as_json:
        for answer in answers:
            print_json(answer)
    else:
        for answer in answers:
            _show(answer)
    failed = [answer for answer in answers if answer.holds is False]
    if not as_json:
        say()
        say(
            "all that was asked is proved" if not failed else f"{len(failed)} of {len(answers)} do not hold",
            style="red" if failed else "green",
        )
    sys.exit(1 if failed else 0)


async def _verify(data: Path, anchors: list[Anchor]) -> list[Answer]:
    async with reading(data) as log:
        with bars() as moved:
            return await answers_of(log, data, views_file(data), anchors, moved)


def _show(answer: Answer) -> None:
    mark, style = _MARKS[answer.holds]
    say(
        (f"{mark} ", style),
        (f"{answer.question:<12}", "bold" if answer.holds is False else ""),
        Text(line(answer.text), "dim" if answer.holds is None else ""),
    )
    for fault in answer.faults:
        say("    ", Text(line(fault), "red"))


def _anchors(notes: tuple[Path, ...], keys: tuple[Path, ...]) -> list[Anchor]:
    if bool(notes) != bool(keys):
        raise click.UsageError("--checkpoint and --key go together: a checkpoint is worth what its signer's public key is")
    return [_opened(note, keys) for note in notes]


def _opened(path: Path, keys: tuple[Path, ...]) -> Anchor:
    reasons = []
    for key in keys:
        try:
            return open_checkpoint(path.read_text("utf-8"), key.read_text("utf-8").strip()).anchor
        except (BadCheckpoint, UnicodeDecodeError) as error:
            reasons.append(str(error))
    raise Failed(f"{path}: {'; '.join(reasons)}")


@click.group(
    epilog=example(
        "tracker checkpoint key ada",
        "tracker checkpoint sign --key ada.key > sunday.note",
        "tracker verify --checkpoint sunday.note --key ada.pub",
    )
)
def checkpoint() -> None:
    """Sign where the log stands, to prove later that it was not rewritten or cut.

    Keep checkpoints and the secret key where those who can write the data directory cannot. Needs the extra `sign`.
    """


@checkpoint.command(epilog=example("tracker checkpoint key ada"))
@click.argument("name")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="Directory for both files.")
def key(name: str, output: Path) -> None:
    """Make a key pair: NAME.key is the secret one, NAME.pub the one to give away."""
    try:
        secret, public = new_key(name)
    except BadCheckpoint as error:
        raise Failed(str(error), 2) from error
    except ImportError:
        raise _unsigned() from None
    if "/" in name:
        raise Failed("a key's name has no slash: it names the files", 2)
    try:
        for path, text, mode in ((output / f"{name}.key", secret, 0o600), (output / f"{name}.pub", public, 0o644)):
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
                file.write(text + "\n")
            note(f"wrote {path}")
    except OSError as error:
        raise Failed(f"{error.filename}: {error.strerror}") from error


@checkpoint.command("sign", epilog=example("tracker checkpoint sign --key ada.key > sunday.note"))
@uri_option
@click.option("--key", "secret", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True, help="Secret key file.")
def sign_(uri: str | None, secret: Path) -> None:
    """Print a signed checkpoint: up to this offset, the log had this digest."""
    data = directory(uri, "checkpoint")
    try:
        run(partial(_sign, data, secret.read_text("utf-8").strip()))
    except ImportError:
        raise _unsigned() from None


async def _sign(data: Path, secret: str) -> None:
    async with reading(data) as log:
        head = log.head
    click.echo(sign(head, secret), nl=False)
    note(f"signed offset {head.offset:,}, recorded {local(head.recorded_at) or 'never'}")


def _unsigned() -> Failed:
    return Failed("signing needs the extra `sign`: pip install 'run-tracker[sign]'")
