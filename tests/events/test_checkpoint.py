"""Signed checkpoints: what only somebody else's copy can tell."""

from collections.abc import Callable

import pytest

from events.checkpoint import new_key, open_checkpoint, parse, sign
from events.errors import BadCheckpoint
from events.log import EventLog
from events.record import Head, New
from events.verify import Anchor, verify_chain

HEAD = Head(17, bytes(range(32)), 1795228036403764441, 3)
# From the example of golang.org/x/mod/sumdb/note: the keys of its documentation.
GO_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


def test_a_checkpoint_says_what_was_signed() -> None:
    """A signed checkpoint opens with the public key and carries offset, digest and time."""
    secret, public = new_key("tracker.example")
    checkpoint = open_checkpoint(sign(HEAD, secret), public)
    assert (checkpoint.name, checkpoint.offset, checkpoint.digest, checkpoint.recorded_at) == (
        "tracker.example",
        17,
        HEAD.digest,
        HEAD.recorded_at,
    )
    assert checkpoint.anchor == Anchor(17, HEAD.digest)


def test_keys_are_those_of_signed_notes() -> None:
    """The key texts are the ones other tools for signed notes use."""
    assert open_checkpoint(sign(HEAD, GO_SECRET), GO_PUBLIC).name == "PeterNeumann"


def test_every_change_of_a_checkpoint_is_seen() -> None:
    """No character of a checkpoint can be changed without it being refused, or meaning the same."""
    secret, public = new_key("t")
    text = sign(HEAD, secret)
    original = open_checkpoint(text, public)
    for i in range(len(text)):
        for other in ("1", "A", "\n"):
            if text[i] == other:
                continue
            changed = text[:i] + other + text[i + 1 :]
            try:
                opened = open_checkpoint(changed, public)
            except BadCheckpoint:
                continue
            assert (opened.anchor, opened.name, opened.recorded_at) == (original.anchor, original.name, original.recorded_at)


def test_another_key_does_not_open_it() -> None:
    """A checkpoint is refused under the key of somebody else, also of the same name."""
    text = sign(HEAD, new_key("t")[0])
    for name in ("t", "other"):
        with pytest.raises(BadCheckpoint, match="not signed by"):
            open_checkpoint(text, new_key(name)[1])


@pytest.mark.parametrize(
    "text", ["", "\n\n", "a\nb\nc\nd\n\n\u2014 t AAAA\n", "t\n1\nAAAA\n1\n", "t\n1\n*\n1\n\n\u2014 t AAAA\n", "t\n1\nAAAA\n1\n\n\u2014 t\n"]
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    """Malformed text is a clear refusal."""
    with pytest.raises(BadCheckpoint):
        parse(text)


@pytest.mark.parametrize("text", ["", "t", "t+00000000", "t+xx+AR==", GO_PUBLIC[:-4], GO_SECRET, GO_PUBLIC.replace("c74f", "c74e")])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    """A malformed or mistaken key is a clear refusal."""
    with pytest.raises(BadCheckpoint):
        open_checkpoint(sign(HEAD, GO_SECRET), text)


@pytest.mark.parametrize("text", ["", GO_PUBLIC, GO_SECRET[:-8], "PRIVATE+KEY+"])
def test_what_is_no_secret_key_is_refused(text: str) -> None:
    """Signing with something else than a secret key is a clear refusal."""
    with pytest.raises(BadCheckpoint):
        sign(HEAD, text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb"])
def test_a_key_needs_a_plain_name(name: str) -> None:
    """A name that would break the format is refused."""
    with pytest.raises(BadCheckpoint):
        new_key(name)


@pytest.mark.anyio
async def test_a_log_is_held_against_its_checkpoints(log: EventLog, labels: Callable[..., New]) -> None:
    """A checkpoint of this log's past holds; one of another log, or from beyond its end, does not."""
    heads = [log.head]
    for n in range(3):
        await log.append(labels(2 * n + 1, 2))
        heads.append(log.head)
    good = [Anchor(head.offset, head.digest) for head in heads]
    report = await verify_chain(log, anchors=good)
    assert report.sound
    assert report.anchored == 6
    for bad in (Anchor(4, bytes(32)), Anchor(3, good[1].digest), Anchor(8, good[3].digest)):
        report = await verify_chain(log, anchors=[bad, good[1]])
        assert not report.sound
        assert [fault.offset for fault in report.anchors] == [bad.offset]
        assert report.anchored == 2
