"""`tracker serve`: a data directory over HTTP, until it is told to stop."""

import errno
from pathlib import Path

import click
import msgspec

from tracker.cli.screen import Failed, err, note
from tracker.cli.session import example, first_of, in_sentences
from tracker.settings import Settings

_ADDRESS_TROUBLE = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES)


@click.command(epilog=example("tracker serve --data /srv/tracker", "TRACKER_URI=http://localhost:8137 python train.py"))
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), help="Data directory; made when missing. [default: ./tracker-data]"
)
@click.option("--host", help="Address to listen at. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 takes a free one. [default: 8137]")
@click.option(
    "--allow-host", "hosts", multiple=True, metavar="NAME", help="A name that requests may be addressed to, beside this machine's."
)
@click.option("--open-access", is_flag=True, help="Listen beyond this machine without tokens: everybody may read and write all of it.")
def serve(data: Path | None, host: str | None, port: int | None, hosts: tuple[str, ...], open_access: bool) -> None:
    """Serve a data directory over HTTP until Ctrl-C or SIGTERM; what was begun is finished within ten seconds.

    Listens on this machine only. Beyond it, tokens are needed: `tracker token create` makes them. The API describes itself at
    /v1/openapi.json.
    """
    with in_sentences():
        settings = Settings.from_env()
        _serve(
            msgspec.structs.replace(
                settings,
                data=data or settings.data,
                host=host or settings.host,
                port=settings.port if port is None else port,
                hosts=(*settings.hosts, *hosts),
                open_access=settings.open_access or open_access,
            )
        )


def _serve(settings: Settings) -> None:
    from tracker.server.serve import serve as serve_until_told

    def ready(url: str) -> None:
        if err().is_terminal:
            note(f"{settings.data} is served at {url}; Ctrl-C stops it")

    try:
        serve_until_told(settings, ready)
    except (OSError, BaseExceptionGroup) as error:
        reason = first_of(error)
        if isinstance(reason, OSError) and reason.errno in _ADDRESS_TROUBLE:
            where = f"{settings.host}:{settings.port}"
            raise Failed(f"cannot listen at {where}: {reason.strerror}; --port takes another one, 0 any free one") from error
        raise
