"""Channels that are a request to a URL: any webhook, and Slack's.

Redirects are not followed: where a message with secrets in its head goes is said by the task, not by who answers there.
"""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from tracker.errors import InvalidRequest
from tracker.expressions import compile_expression, compile_template
from tracker.notifications.message import TIMEOUT, Channel, Message, NotSent
from tracker.notifications.params import Params, needed, only, truth

METHODS = ("POST", "PUT", "PATCH", "GET", "DELETE")
COLOURS = {"error": "#d92d20", "warning": "#f79009"}


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def url_of(text: Any) -> str:
    """A URL that can be asked. Raises InvalidRequest, which does not repeat it: it may hold a token."""
    url = str(text)
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isprintable() and " " not in url
    except ValueError:
        fine = False
    if not fine:
        raise InvalidRequest("its URL is not like https://host/path", field="params")
    return url


def request(url: str, body: bytes, *, method: str = "POST", headers: Mapping[str, str] | None = None, verify: bool = True) -> bytes:
    """Send a body; what was answered. Raises NotSent for another status than 2xx, and for no answer."""
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(_Stay, urllib.request.HTTPSHandler(context=context))
    wanted = urllib.request.Request(  # noqa: S310 - `url_of` has seen to the scheme
        url, data=None if method == "GET" else body, method=method, headers={"Content-Type": "application/json", **(headers or {})}
    )
    try:
        with opener.open(wanted, timeout=TIMEOUT) as reply:
            return bytes(reply.read(64 * 1024))
    except urllib.error.HTTPError as error:
        with error:
            raise NotSent(f"{urlsplit(url).hostname} answered {error.code} {error.reason}") from None
    except (urllib.error.URLError, HTTPException, TimeoutError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise NotSent(f"{urlsplit(url).hostname} did not answer: {reason or type(error).__name__}") from None


def webhook(params: Params) -> Channel:
    """JSON with the message, its severity and the run; `override_body` is another body, whose texts are templates."""
    only(params, "url", "method", "headers", "override_body", "verify_ssl")
    url, method = url_of(needed(params, "url")), str(params.get("method") or "POST").upper()
    headers, shape = params.get("headers") or {}, params.get("override_body")
    verify = truth(params.get("verify_ssl"), default=True)
    if method not in METHODS:
        raise InvalidRequest(f"its method is one of {', '.join(METHODS)}, not {method!r}", field="params")
    if not isinstance(headers, Mapping) or not all(str(text).isprintable() for pair in headers.items() for text in pair):
        raise InvalidRequest("its headers are a dict of names and texts", field="params")
    heads = {str(name): str(value) for name, value in headers.items()}
    if shape is not None:
        _read(shape)

    def send(message: Message) -> None:
        body: Any = {"message": message.text, "severity": message.severity, "state": message.state, "runs": [message.run]}
        if shape is not None:
            body = _filled(shape, {**message.values, "message": message.text, "severity": message.severity})
        request(url, _json(body), method=method, headers=heads, verify=verify)

    return send


def slack(params: Params) -> Channel:
    """A message in the channel that a webhook of Slack leads to."""
    only(params, "webhook", "url")
    url = url_of(needed(params, "webhook", optional=("url",)))

    def send(message: Message) -> None:
        blocks = [
            {"type": "header", "text": {"type": "plain_text", "text": message.title[:150]}},
            {"type": "section", "text": {"type": "mrkdwn", "text": _escaped(message.text)[:2900] or " "}},
        ]
        colour = COLOURS.get("error" if message.state == "error" else message.severity, "#12b76a")
        request(url, _json({"text": message.title, "attachments": [{"color": colour, "blocks": blocks}]}))

    return send


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _json(body: Any) -> bytes:
    return json.dumps(body, default=str, ensure_ascii=False).encode("utf-8", "replace")


def _read(shape: Any) -> None:
    """Raise InvalidExpression for a template in it that does not parse."""
    if isinstance(shape, Mapping):
        for item in shape.values():
            _read(item)
    elif isinstance(shape, list):
        for item in shape:
            _read(item)
    elif isinstance(shape, str):
        compile_template(shape, "override_body")


def _filled(shape: Any, values: dict[str, Any]) -> Any:
    """The body with the values of its templates; a text that is one expression and nothing else becomes the value itself."""
    if isinstance(shape, Mapping):
        return {str(key): _filled(item, values) for key, item in shape.items()}
    if isinstance(shape, list):
        return [_filled(item, values) for item in shape]
    if not isinstance(shape, str):
        return shape
    text = shape.strip()
    if text.startswith("{{") and text.endswith("}}") and text.count("{{") == 1:
        return compile_expression(text, "override_body").evaluate(values)
    return compile_template(shape, "override_body").render(values)
