"""Where data is, as text: which texts are URLs, how relative ones are completed, and how one is shown without what is secret in it.

A URL that people pass around may hold a password, or a signature that is as good as one. Whatever is recorded, raised or printed goes
through `shown` first.
"""

import os
import re
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

from tracker.errors import InvalidRequest

MASK = "***"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?=://|::)")
_CHAIN = re.compile(r"::(?=[A-Za-z][A-Za-z0-9+.-]*(?:://|::|$))")  # of one place in another; an address of IPv6 has none
_UNSEEN = re.compile("[\x00-\x1f\x7f]")
_SECRET = re.compile(r"(?i)sig$|signature|token|secret|pass|credential|key")


def check_url(url: Any) -> str:
    """A path or URL as text. Raises InvalidRequest."""
    text = os.fspath(url) if isinstance(url, os.PathLike) else url
    if not isinstance(text, str):
        raise InvalidRequest(f"a URL or path is text, not {type(url).__name__}", field="url")
    if not text.strip():
        raise InvalidRequest("the URL is empty: give a path, or a URL such as s3://bucket/key", field="url")
    if _UNSEEN.search(text):
        raise InvalidRequest(f"the URL {text[:200]!r} holds control characters", field="url")
    scheme, separator, rest = text.partition("://")
    return f"{scheme.lower()}{separator}{rest}" if separator and scheme.isalnum() else text


def scheme_of(url: str) -> str:
    """The scheme in lower case; "file" for a path."""
    match = _SCHEME.match(url)
    return match[0].lower() if match else "file"


def is_relative(url: str) -> bool:
    """Whether this is a path that does not say from where."""
    return scheme_of(url) == "file" and "://" not in url and not url.startswith(("/", "~"))


def joined(base: str, url: str) -> str:
    """`url`, below `base` when it is relative."""
    return f"{base.rstrip('/') or '/'}/{url}".replace("//", "/", 1) if base == "/" else f"{base.rstrip('/')}/{url}" if base else url


def path_of(url: str) -> PurePosixPath:
    """The path part, for names and suffixes."""
    if "://" in url:  # the outermost of several, such as zip://a.csv::s3://bucket/b.zip
        url = next((part for part in _CHAIN.split(url) if "://" in part), url)
    if scheme_of(url) in ("http", "https"):
        return PurePosixPath(url.partition("://")[2].partition("#")[0].partition("?")[0].partition("/")[2])
    host, slash, path = url.partition("://")[2].partition("/")
    return PurePosixPath(f"{host.rpartition('@')[2]}{slash}{path}" if "://" in url else url)


def shown(url: str) -> str:
    """The URL with `***` for passwords and signatures."""
    if "://" not in url or ("@" not in url and "?" not in url):
        return url
    return "::".join(map(_shown, _CHAIN.split(url)))


def _shown(url: str) -> str:
    if "://" not in url:
        return url
    try:
        parts = urlsplit(url)
        user, at, host = parts.netloc.rpartition("@")
        name, colon, _ = user.partition(":")
        netloc = f"{name}{colon}{MASK if colon else ''}{at}{host}"
        if not any(_SECRET.search(key) for key, _ in parse_qsl(parts.query, keep_blank_values=True)):
            return urlunsplit(parts._replace(netloc=netloc))
        query = "&".join(_pair(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True))
        return urlunsplit(parts._replace(netloc=netloc, query=query))
    except ValueError:  # no URL at all: what is behind the scheme is anybody's guess
        return f"{url.partition('://')[0]}://{MASK}"


def secrets_in(url: str) -> list[str]:
    """The password and the signatures in a URL."""
    if "://" not in url or ("@" not in url and "?" not in url):
        return []
    return [found for part in _CHAIN.split(url) for found in _secrets_in(part)]


def _secrets_in(url: str) -> list[str]:
    try:
        parts = urlsplit(url)
        found = [unquote(parts.password)] if parts.password else []
        return [*found, *(value for key, value in parse_qsl(parts.query) if _SECRET.search(key))]
    except ValueError:
        return []


def _pair(key: str, value: str) -> str:
    return f"{quote(key)}={MASK if _SECRET.search(key) else quote(value)}"
