"""Channels that are apprise's: mail, and a hundred services by their URLs (Telegram, Discord, Teams, Matrix, PagerDuty, ntfy ...).

What apprise would do beyond sending is switched off: it follows no redirects, keeps no files, and says nothing that could hold a token.
"""

import importlib
import logging
import re
import warnings
from typing import Any

from tracker.errors import InvalidRequest
from tracker.expressions import compile_template
from tracker.notifications.message import Channel, Message, NotSent
from tracker.notifications.params import Params, needed, only, truth

TYPES = {"error": "failure", "warning": "warning"}
PORTS = {"insecure": 25, "ssl": 465, "starttls": 587}
ADDRESS = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+")


def service(params: Params, kind: str) -> Channel:
    """`url` is an apprise URL, or `urls` a list of them; the notification's kind is a name only."""
    urls = params.get("urls") or params.get("url") or []
    urls = urls if isinstance(urls, list) else [str(urls)]
    if not urls:
        raise InvalidRequest(
            f"kind {kind!r} is none of console, ipython, webhook, slack and mail; for any other give its apprise URL "
            "(https://appriseit.com/services) as the parameter 'url'",
            field="kind",
        )
    only(params, "url", "urls")
    services = [_service(str(url)) for url in urls]
    if None in services:
        raise InvalidRequest(f"its url number {services.index(None) + 1} is none that apprise understands", field="params")
    return lambda message: _notify(services, message.title, message)


def mail(params: Params) -> Channel:
    """`server_host`, `sender_address` and `email_addresses` (a list, or text with commas) are needed; `subject` is a template.

    The connection is encrypted from its first byte (`use_tls`, port 465), or from STARTTLS on (`start_tls`, port 587). It is plain only
    when `use_tls` is said to be false, or the port is 25; a password goes over a plain one only if `use_tls` is said to be false.
    """
    known = ("server_host", "server_port", "sender_address", "username", "password", "email_addresses", "use_tls", "start_tls")
    only(params, *known, "validate_certs", "subject")
    host, sender = str(needed(params, "server_host")), _address(needed(params, "sender_address", optional=("username",)))
    port, mode = _security(params)
    letter = _service(
        {
            "schema": "mailto" if mode == "insecure" else "mailtos",
            "host": host,
            "smtp_host": host,
            "port": port,
            "secure_mode": mode,
            "user": str(params["username"]) if params.get("username") else None,
            "password": str(params["password"]) if params.get("password") else None,
            "verify": truth(params.get("validate_certs"), default=True),
            "from_addr": sender,
            "targets": _addresses(needed(params, "email_addresses")),
            "format": "text",
        }
    )
    if letter is None:
        raise InvalidRequest("its parameters are none that apprise can send mail with", field="params")
    subject = compile_template(str(params["subject"]), "subject") if params.get("subject") else None

    def send(message: Message) -> None:
        line = subject.render(message.values) if subject else message.title
        _notify([letter], " ".join(line.split())[:200], message)

    return send


def _security(params: Params) -> tuple[int, str]:
    """The port, and apprise's word for how the connection is kept secret."""
    port, asked = params.get("server_port"), params.get("use_tls")
    if truth(params.get("start_tls"), default=port in (587, "587")):
        mode = "starttls"
    else:
        mode = "ssl" if truth(asked, default=port not in (25, "25")) else "insecure"
    if params.get("password") and not params.get("username"):
        raise InvalidRequest("it has a password but no username", field="params")
    if params.get("password") and mode == "insecure" and asked is None:
        raise InvalidRequest("its password would go over a plain connection: set use_tls or start_tls", field="params")
    try:
        return int(port or PORTS[mode]), mode
    except (TypeError, ValueError):
        raise InvalidRequest(f"its server_port is a number, not {port!r}", field="params") from None


def _addresses(value: Any) -> list[str]:
    found = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    if not isinstance(found, list) or not found:
        raise InvalidRequest("its email_addresses are a list, or text with commas", field="params")
    return [_address(part) for part in found]


def _address(text: Any) -> str:
    """Apprise leaves out what is none, without a word."""
    address = str(text).strip()
    _apprise()
    parse: Any = importlib.import_module("apprise.utils.parse")
    if not ADDRESS.fullmatch(address) or not parse.is_email(address):
        raise InvalidRequest(f"{address[:100]!r} is no mail address", field="params")
    return address


def _apprise() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the library's own plugins import what is old
        try:
            import apprise
        except ImportError:
            raise InvalidRequest("it needs apprise: pip install 'run-tracker[notify]'", field="kind") from None
    return apprise


def _service(described: str | dict[str, Any]) -> Any:
    """What apprise makes of a URL, or of a dict; None when it can make nothing of it."""
    apprise = _apprise()
    asset = apprise.AppriseAsset(http_redirects=False, storage_mode=apprise.PersistentStoreMode.MEMORY)
    with apprise.LogCapture(level=logging.CRITICAL), warnings.catch_warnings():  # it would say the URL, with what is secret in it
        warnings.simplefilter("ignore", DeprecationWarning)
        return apprise.Apprise.instantiate(described, asset=asset, suppress_exceptions=True)


def _notify(services: list[Any], title: str, message: Message) -> None:
    """Send through each, once. Raises NotSent with what the library said."""
    apprise = _apprise()
    type_ = TYPES.get("error" if message.state == "error" else message.severity, "info")
    with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as log:
        failed = [
            one.service_name
            for one in services
            if not apprise.Apprise(one).notify(body=message.text, title=title, notify_type=type_, body_format="text")
        ]
        said = " ".join(line for line in log.getvalue().split("\n") if line)
    if failed:
        raise NotSent(f"{', '.join(map(str, failed))} did not take it: {said[:300]}".rstrip(": "))
