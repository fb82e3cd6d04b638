"""Mail, through the SMTP server that the parameters name.

The connection is encrypted from its first byte (`use_tls`, port 465), or from STARTTLS on (`start_tls`, port 587). It is plain only when
`use_tls` is said to be false, or the port is 25; a password never goes over a plain connection that was not asked for by its name.
"""

import smtplib
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any

from tracker.errors import InvalidRequest
from tracker.expressions import compile_template
from tracker.notifications.message import TIMEOUT, Channel, Message, NotSent
from tracker.notifications.params import Params, needed, only

KNOWN = (
    "server_host",
    "server_port",
    "sender_address",
    "username",
    "password",
    "email_addresses",
    "use_tls",
    "start_tls",
    "validate_certs",
    "subject",
)


def mail(params: Params) -> Channel:
    """`server_host`, `sender_address` and `email_addresses` (a list, or text with commas) are needed; `subject` is a template."""
    only(params, *KNOWN)
    server = _Server(params)
    sender, receivers = _address(needed(params, "sender_address", optional=("username",))), _addresses(needed(params, "email_addresses"))
    subject = compile_template(str(params["subject"]), "subject") if params.get("subject") else None

    def send(message: Message) -> None:
        letter = EmailMessage()
        letter["From"], letter["To"] = sender, ", ".join(receivers)
        line = subject.render(message.values) if subject else message.title
        letter["Subject"] = " ".join(line.split())[:200]
        letter["Date"], letter["Message-ID"] = formatdate(), make_msgid(domain="run-tracker.invalid")
        letter.set_content(message.text)
        server.deliver(letter)

    return send


class _Server:
    """Where mail is handed over."""

    def __init__(self, params: Params) -> None:
        self._host, port = str(needed(params, "server_host")), params.get("server_port")
        self._start = _truth(params.get("start_tls"), default=port in (587, "587"))
        self._tls = _truth(params.get("use_tls"), default=not self._start and port not in (25, "25")) and not self._start
        try:
            self._port = int(port or (465 if self._tls else 587 if self._start else 25))
        except (TypeError, ValueError):
            raise InvalidRequest(f"its server_port is a number, not {port!r}", field="params") from None
        self._user, self._password = str(params.get("username") or ""), str(params.get("password") or "")
        if self._password and not self._user:
            raise InvalidRequest("it has a password but no username", field="params")
        if self._password and not self._tls and not self._start and params.get("use_tls") is None:
            raise InvalidRequest("its password would go over a plain connection: set use_tls or start_tls", field="params")
        self._validate = _truth(params.get("validate_certs"), default=True)

    def deliver(self, letter: EmailMessage) -> None:
        """Hand a letter over. Raises NotSent."""
        try:
            with self._connect() as connection:
                if self._start:
                    connection.starttls(context=self._context())
                if self._password:
                    connection.login(self._user, self._password)
                refused = connection.send_message(letter)
        except smtplib.SMTPResponseException as error:
            said = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
            raise NotSent(f"{self._host} answered {error.smtp_code} {said}") from None
        except (smtplib.SMTPException, OSError) as error:
            raise NotSent(f"{self._host} did not take the mail: {str(error) or type(error).__name__}") from None
        if refused:
            raise NotSent(f"{self._host} refused {', '.join(sorted(refused))}")

    def _connect(self) -> smtplib.SMTP:
        if self._tls:
            return smtplib.SMTP_SSL(self._host, self._port, timeout=TIMEOUT, context=self._context())
        return smtplib.SMTP(self._host, self._port, timeout=TIMEOUT)

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if not self._validate:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context


def _truth(value: Any, *, default: bool) -> bool:
    if value is None:
        return default
    return value.strip().lower() in ("1", "true", "yes") if isinstance(value, str) else bool(value)


def _address(text: Any) -> str:
    try:
        address = Address(addr_spec=str(text).strip())
    except Exception:  # noqa: BLE001 - the parser raises several kinds, an IndexError among them
        address = Address()
    if not address.username or not address.domain:
        raise InvalidRequest(f"{str(text)[:100]!r} is no mail address", field="params")
    return address.addr_spec


def _addresses(value: Any) -> list[str]:
    found = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    if not isinstance(found, list) or not found:
        raise InvalidRequest("its email_addresses are a list, or text with commas", field="params")
    return [_address(part) for part in found]
