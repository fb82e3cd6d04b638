"""The kinds of channels, and how each is made from its parameters: a function that takes a message and sends it.

Our own are the console, a notebook, webhooks, Slack, mail, and comments at GitHub and GitLab. Any other kind goes through apprise, which
knows a hundred services by their URLs: `kind="telegram", params={"url": "tgram://..."}`.
"""

import sys
from collections.abc import Callable

from tracker.errors import InvalidRequest
from tracker.notifications.message import Channel, Message
from tracker.notifications.params import Params, only

Make = Callable[[Params], Channel]


def check(kind: str, params: Params, name: str) -> Channel:
    """The channel of a kind. Raises InvalidRequest, naming the notification and the parameter that is missing or wrong."""
    make = KINDS.get(kind, _other)
    try:
        return make({**params, "kind": kind} if make is _other else params)
    except InvalidRequest as error:
        raise type(error)(f"notification {name!r}: {error.message}", **error.detail) from None


def _console(params: Params) -> Channel:
    only(params)

    def send(message: Message) -> None:
        sys.stdout.write(f"{message.title}\n{message.text}\n")
        sys.stdout.flush()

    return send


def _ipython(params: Params) -> Channel:
    only(params)
    plain = _console({})

    def send(message: Message) -> None:
        shell = sys.modules.get("IPython")
        if shell is None or shell.get_ipython() is None:
            plain(message)
            return
        from html import escape

        from IPython.display import HTML, display

        display(HTML(f"<b>{escape(message.title)}</b><pre>{escape(message.text)}</pre>"))

    return send


def _webhook(params: Params) -> Channel:
    from tracker.notifications.web import webhook

    return webhook(params)


def _slack(params: Params) -> Channel:
    from tracker.notifications.web import slack

    return slack(params)


def _git(params: Params) -> Channel:
    from tracker.notifications.git import comment

    return comment(params)


def _mail(params: Params) -> Channel:
    from tracker.notifications.mail import mail

    return mail(params)


def _other(params: Params) -> Channel:
    from tracker.notifications.others import through_apprise

    return through_apprise(params)


KINDS: dict[str, Make] = {
    "console": _console,
    "ipython": _ipython,
    "webhook": _webhook,
    "slack": _slack,
    "git": _git,
    "mail": _mail,
}
