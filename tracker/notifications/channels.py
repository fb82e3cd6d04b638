"""The kinds of channels, and how each is made from its parameters: a function that takes a message and sends it.

Our own are the console, a notebook, webhooks and Slack, which take addresses that apprise does not. Mail, and any other kind, goes through
apprise, which knows a hundred services by their URLs: `kind="telegram", params={"url": "tgram://..."}`.
"""

import importlib
import sys
from collections.abc import Callable
from html import escape

from tracker.errors import InvalidRequest
from tracker.notifications.message import Channel, Message
from tracker.notifications.params import Params, only
from tracker.notifications.services import mail, service
from tracker.notifications.web import slack, webhook


def check(kind: str, params: Params, name: str) -> Channel:
    """The channel of a kind. Raises InvalidRequest, naming the notification and the parameter that is missing or wrong."""
    try:
        make = KINDS.get(kind)
        return make(params) if make else service(params, kind)
    except InvalidRequest as error:
        raise type(error)(f"notification {name!r}: {error.message}", **error.detail) from None


def _console(params: Params) -> Channel:
    only(params)
    return _print


def _print(message: Message) -> None:
    sys.stdout.write(f"{message.title}\n{message.text}\n")
    sys.stdout.flush()


def _ipython(params: Params) -> Channel:
    only(params)

    def send(message: Message) -> None:
        shell = sys.modules.get("IPython")
        if shell is None or shell.get_ipython() is None:
            _print(message)
            return
        shown = importlib.import_module("IPython.display")
        shown.display(shown.HTML(f"<b>{escape(message.title)}</b><pre>{escape(message.text)}</pre>"))

    return send


KINDS: dict[str, Callable[[Params], Channel]] = {
    "console": _console,
    "ipython": _ipython,
    "webhook": webhook,
    "slack": slack,
    "mail": mail,
}
