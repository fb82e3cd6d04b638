"""What a request must be before anything looks at its path: spoken to this server, and not by a foreign web page.

Browsers attach nothing secret here, yet a page anywhere can make a browser reach a loopback server, under its own name by DNS
rebinding (so: one Host, in a list) or blindly (so: a request that changes something must come from our own origin, or from no page at all).
"""

from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from socket import gethostname

import msgspec

from tracker.errors import Forbidden, InvalidRequest, Misdirected

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_SINGLE = ("Origin", "Authorization", "Content-Type", "Content-Encoding", "Range", "Last-Event-ID")


def is_loopback(host: str) -> bool:
    """Whether a bind address is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Names(msgspec.Struct, frozen=True):
    """The authorities this server answers to."""

    loopback: bool
    port: int
    own: frozenset[str]  # at the server's port
    configured: frozenset[str]  # at any port: a proxy may stand before us

    def check(self, host: str) -> None:
        """Refuse a Host header that is not one of ours. Raises Misdirected."""
        name, port = _split(host)
        if name in self.configured:
            return
        if (name in self.own or (not self.loopback and _is_address(name))) and port == self.port:
            return
        raise Misdirected("this server does not answer to that Host: add it with --allow-host", host=host[:64])


def names(host: str, port: int, configured: tuple[str, ...]) -> Names:
    """The names of a server bound to `host` and `port`."""
    loopback = is_loopback(host)
    own = set(LOOPBACK) | {host.lower() if ":" not in host else f"[{host.strip('[]').lower()}]"}
    if not loopback:
        own.add(gethostname().lower())
    return Names(loopback, port, frozenset(own), frozenset(name.lower() for name in configured))


def _split(host: str) -> tuple[str, int]:
    name, separator, port = host.rpartition(":")
    if not separator or host.endswith("]"):
        name, port = host, "80"
    if not (port.isascii() and port.isdigit() and len(port) <= 5):
        raise Misdirected("the Host header is malformed")
    return name.lower(), int(port)


def _is_address(name: str) -> bool:
    """A literal address needs no DNS, so it cannot be rebound."""
    bracketed = name.startswith("[") and name.endswith("]")
    try:
        address = ip_address(name[1:-1] if bracketed else name)
    except ValueError:
        return False
    return bracketed == isinstance(address, IPv6Address) and "%" not in name


def check_headers(headers: Mapping[str, str]) -> str:
    """The Host of a request whose headers can be read in one way only. Raises InvalidRequest."""
    hosts = headers.getall("Host", ())  # type: ignore[attr-defined]
    if len(hosts) != 1:
        raise InvalidRequest("there must be one Host header", field="Host")
    for name, text in headers.items():
        if not text.isascii():
            raise InvalidRequest(f"the header {name[:64]} must be ASCII", field=name[:64])
    for name in _SINGLE:
        if len(headers.getall(name, ())) > 1:  # type: ignore[attr-defined]
            raise InvalidRequest(f"there must be one {name} header", field=name)
    return str(hosts[0])


def check_origin(method: str, host: str, origin: str | None, site: str | None) -> None:
    """Refuse what a page of another origin made a browser send. Raises Forbidden."""
    if origin is not None:
        if origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}"):
            raise Forbidden("requests from pages of another origin are refused", origin=origin[:64])
    elif site is not None and site not in ("same-origin", "none") and method not in SAFE_METHODS:
        raise Forbidden("requests from pages of another site are refused", site=site[:64])


def check_target(path: str) -> None:
    """Refuse a request target that is not a plain path. Raises InvalidRequest."""
    if not path.startswith("/") or path.startswith("//") or "\\" in path or "#" in path:
        raise InvalidRequest("the request target must be an absolute path")
