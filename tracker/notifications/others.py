"""All other services, by their apprise URLs: Telegram, Discord, Teams, Matrix, PagerDuty, ntfy and a hundred more."""

import logging
import warnings
from typing import Any

from tracker.errors import InvalidRequest
from tracker.notifications.message import Channel, Message, NotSent
from tracker.notifications.params import Params, only

TYPES = {"error": "failure", "warning": "warning"}


def through_apprise(params: Params) -> Channel:
    """`url` is an apprise URL, or `urls` a list of them; the notification's kind is a name only."""
    kind = params.pop("kind")
    urls = params.get("urls") or params.get("url") or []
    urls = urls if isinstance(urls, list) else [str(urls)]
    if not urls:
        raise InvalidRequest(
            f"kind {kind!r} is none of console, ipython, webhook, slack, mail and git; for any other give its apprise URL "
            "(https://appriseit.com/services) as the parameter 'url'",
            field="kind",
        )
    only(params, "url", "urls")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the library's own plugins import what is old
        try:
            import apprise
        except ImportError:
            raise InvalidRequest(f"kind {kind!r} needs apprise: pip install 'run-tracker[notify]'", field="kind") from None
        services = _services(apprise, urls)
    if not all(services):
        raise InvalidRequest(f"its url number {services.index(None) + 1} is none that apprise understands", field="params")

    def send(message: Message) -> None:
        _notify(apprise, services, message)

    return send


def _services(apprise: Any, urls: list[Any]) -> list[Any]:
    with apprise.LogCapture(level=logging.CRITICAL):  # it would say the URL, with what is secret in it
        return [apprise.Apprise.instantiate(str(url), suppress_exceptions=True) for url in urls]


def _notify(apprise: Any, services: list[Any], message: Message) -> None:
    """Send through each. Raises NotSent with what the library said."""
    type_ = TYPES.get("error" if message.state == "error" else message.severity, "info")
    said: list[str] = []
    with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as log:
        failed = [s.service_name for s in services if not s.notify(body=message.text, title=message.title, notify_type=type_)]
        said = log.getvalue().split("\n")
    if failed:
        raise NotSent(f"{', '.join(map(str, failed))} did not take it: {' '.join(line for line in said if line)[:300]}".rstrip(": "))
