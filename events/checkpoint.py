"""Signed checkpoints: "up to this offset the log had this digest", to be kept where the log's author cannot reach.

A chain proves nothing against whoever can rewrite all of it, and a cut tail is invisible; against a checkpoint both are seen.
The text is a signed note as of C2SP (`c2sp.org/signed-note`, the form of Go's checksum database), keys included, so other tools
can check the signature; its body is our own: name, offset, digest, and the time of the last event in nanoseconds.
Ed25519 comes from the extra `sign`.
"""

import base64
import binascii
from hashlib import sha256

import msgspec

from events.errors import BadCheckpoint
from events.record import Head
from events.verify import Anchor

_ED25519 = b"\x01"
_SECRET = "PRIVATE+KEY+"  # noqa: S105 - the prefix of such a key, not one


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed checkpoint. `signed` is the text under the signature."""

    name: str
    offset: int
    digest: bytes
    recorded_at: int
    signed: str
    signatures: list[tuple[str, bytes, bytes]]  # name of the key, its id, the signature

    @property
    def anchor(self) -> Anchor:
        """What `verify_chain` holds against the log."""
        return Anchor(self.offset, self.digest)


def new_key(name: str) -> tuple[str, str]:
    """A new (secret, public) pair of key texts. `name` says whose it is: no spaces, no plus."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not name or "+" in name or not name.isprintable() or any(c.isspace() for c in name):
        raise BadCheckpoint(f"a key's name has no spaces and no plus: {name!r}")
    key = Ed25519PrivateKey.generate()
    public = _ED25519 + key.public_key().public_bytes_raw()
    number = _key_id(name, public).hex()
    return f"{_SECRET}{name}+{number}+{_text(_ED25519 + key.private_bytes_raw())}", f"{name}+{number}+{_text(public)}"


def sign(head: Head, secret: str) -> str:
    """The checkpoint of a log that ends at `head`, signed with a secret key text. Ends with a newline."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not secret.startswith(_SECRET):
        raise BadCheckpoint("this is not the text of a secret key")
    name, number, key = _key(secret.removeprefix(_SECRET))
    body = f"{name}\n{head.offset}\n{_text(head.digest)}\n{head.recorded_at}\n"
    return f"{body}\n\u2014 {name} {_text(number + Ed25519PrivateKey.from_private_bytes(key).sign(body.encode()))}\n"


def parse(text: str) -> Checkpoint:
    """A checkpoint's parts, its signature not yet checked. Raises BadCheckpoint."""
    body, separator, below = text.rpartition("\n\n")
    lines = body.split("\n")
    signatures = [line.removeprefix("\u2014 ").split(" ") for line in below.splitlines() if line.startswith("\u2014 ")]
    if not separator or len(lines) != 4 or not signatures or any(len(parts) != 2 for parts in signatures):
        raise BadCheckpoint("this is not a checkpoint: name, offset, digest, time, an empty line, and a signature are expected")
    name, offset, digest, recorded_at = lines
    if not (offset.isascii() and offset.isdigit() and recorded_at.isascii() and recorded_at.isdigit()):
        raise BadCheckpoint("the checkpoint's offset and time are not numbers")
    raw = [(key_name, _bytes(packed)) for key_name, packed in signatures]
    return Checkpoint(
        name=name,
        offset=int(offset),
        digest=_bytes(digest),
        recorded_at=int(recorded_at),
        signed=body + "\n",
        signatures=[(key_name, packed[:4], packed[4:]) for key_name, packed in raw],
    )


def open_checkpoint(text: str, public: str) -> Checkpoint:
    """A checkpoint's parts, signed by the owner of this public key text. Raises BadCheckpoint when it is not."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    checkpoint = parse(text)
    name, number, key = _key(public)
    if _key_id(name, _ED25519 + key) != number:
        raise BadCheckpoint("the public key's id does not fit the key")
    for key_name, key_number, signature in checkpoint.signatures:
        if (key_name, key_number) == (name, number):
            try:
                Ed25519PublicKey.from_public_bytes(key).verify(signature, checkpoint.signed.encode())
            except InvalidSignature as error:
                raise BadCheckpoint(f"the signature of {name} does not fit the checkpoint") from error
            return checkpoint
    raise BadCheckpoint(f"the checkpoint is not signed by {name}")


def _key(text: str) -> tuple[str, bytes, bytes]:
    name, number, packed = [*text.strip().split("+", 2), "", ""][:3]
    key = _bytes(packed)
    if not name or key[:1] != _ED25519 or len(key) != 33:
        raise BadCheckpoint("this is not the text of an Ed25519 key: NAME+ID+KEY is expected")
    try:
        return name, bytes.fromhex(number), key[1:]
    except ValueError as error:
        raise BadCheckpoint("the key's id is not a hex number") from error


def _key_id(name: str, public: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + public).digest()[:4]


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadCheckpoint(f"{text[:40]!r} is not base64") from error
