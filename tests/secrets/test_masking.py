"""What is put in place of the values of secrets, and what stays."""

import base64
import json
import os
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.types import ArtifactFile, ArtifactLogged, ConsoleWritten, LabelSet, MetricLogged, ResultLogged, RunCreated, StateChanged
from tracker.secrets.store import SecretsStore, StreamMasker
from tracker.secrets.telling import Reply, teller_of, word_for


def store(*values: str) -> SecretsStore:
    """A store with these values."""
    secrets = SecretsStore()
    secrets.add_inline({f"s{number}": value for number, value in enumerate(values)})
    return secrets


@given(values=st.lists(st.text("ab", min_size=4, max_size=7), min_size=1, max_size=3), text=st.text("abc ", max_size=60), data=st.data())
def test_pieces_are_masked_as_the_whole(values: list[str], text: str, data: st.DataObject) -> None:
    """However a console's bytes are cut into pieces, what is recorded is what masking the whole would give, and no value is in it."""
    whole = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    secrets = store(*values)
    masker = StreamMasker(secrets)
    out = b"".join(masker.feed(piece) for piece in pieces) + masker.feed(b"", last=True)
    assert out == secrets.mask_bytes(whole)
    assert not any(value.encode() in out for value in values)


@given(text=st.text("abc ", max_size=60))
def test_a_stream_holds_little_back(text: str) -> None:
    """What waits for the next piece is less than the longest value."""
    masker, data = StreamMasker(store("abab", "abacab")), text.encode()
    for at in range(len(data)):
        masker.feed(data[at : at + 1])
        assert len(masker._held._rest) < len("abacab")


def test_the_forms_in_which_values_are_printed() -> None:
    """A value is found as it is, as JSON, repr, URL and base64 have it, and line by line."""
    value = 'päss "word"\nwith\\a/second+line'
    secrets = store(value)
    forms = [
        value,
        json.dumps(value),
        repr(value),
        quote(value, safe=""),
        base64.b64encode(value.encode()).decode(),
        f"> {value.splitlines()[1]} <",
    ]
    for form in forms:
        masked = secrets.mask(f"x {form} y")
        assert "***" in masked, form
        assert "word" not in masked
        assert "second" not in masked


def test_events_are_cleaned_everywhere_and_nowhere_else() -> None:
    """Names, texts, bytes, numbers and nested values are masked; states, digests, sizes and times are what they were."""
    secrets = store("hunter2hunter", "4711471", "running", "abcd")
    digest = "abcd" * 16
    created = RunCreated(
        time=4711471, name="hunter2hunter", parameters={"a": {"b": ["hunter2hunter", 4711471, 4711471.5]}}, spec={"hunter2hunter": 1}
    )
    assert secrets.clean(created) == RunCreated(
        time=4711471, name="***", parameters={"a": {"b": ["***", "***", 4711471.5]}}, spec={"***": 1}
    )
    assert secrets.clean(ResultLogged(time=1, key="hunter2hunter", value=4711471)) == ResultLogged(time=1, key="***", value="***")
    assert secrets.clean(MetricLogged(time=1, key="m", value=4711471.0, step=4711471)) == MetricLogged(
        time=1, key="m", value=4711471.0, step=4711471
    )
    state = StateChanged(time=1, state="running", error="while running")
    assert secrets.clean(state) == StateChanged(time=1, state="running", error="while ***")
    assert secrets.clean(ConsoleWritten(time=1, data=b"\xff hunter2hunter \xfe")) == ConsoleWritten(time=1, data=b"\xff *** \xfe")
    file = ArtifactFile(path="hunter2hunter.txt", digest=digest, size=4711471)
    logged = ArtifactLogged(time=1, key="k", digest=digest, size=4711471, files=(file,))
    assert secrets.clean(logged) == ArtifactLogged(
        time=1, key="k", digest=digest, size=4711471, files=(ArtifactFile(path="***.txt", digest=digest, size=4711471),)
    )


def test_short_values_take_no_words_with_them() -> None:
    """A value of three characters or fewer is masked where it stands alone, and words and keys that hold it stay."""
    secrets = store("dev", "true")
    assert secrets.clean(LabelSet(time=1, key="dev", value="dev")) == LabelSet(time=1, key="dev", value="***")
    assert secrets.clean(LabelSet(time=1, key="x", value="device is true")) == LabelSet(time=1, key="x", value="device is true")


def test_two_secret_names_are_still_two() -> None:
    """Masking keys of a dict loses none of its items."""
    cleaned = store("secret-one", "secret-two").masked({"secret-one": 1, "secret-two": 2})
    assert sorted(cleaned.values()) == [1, 2]


def test_without_secrets_events_are_what_they_were() -> None:
    """With nothing to mask the very same objects come back."""
    event, text = ResultLogged(time=1, key="k", value={"a": [1]}), "text"
    none = SecretsStore()
    assert not none.masking
    assert none.clean(event) is event
    assert none.mask(text) is text
    assert store("hunter2hunter").clean(event) is event


def test_values_show_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither repr nor pickle gives a value away, and what `get` finds in the environment is masked from then on."""
    import pickle

    secrets = store("hunter2hunter")
    assert "hunter2" not in repr(secrets)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secrets)
    monkeypatch.setenv("H_FROM_ENVIRONMENT", "correct-horse")
    assert secrets.mask("correct-horse") == "correct-horse"
    assert secrets.get("H_FROM_ENVIRONMENT", "no") == "correct-horse"
    assert secrets.mask("a correct-horse") == "a ***"
    assert secrets.get("H_NOT_THERE", "no") == "no"
    assert secrets.get("H_NOT_THERE") is None


def test_a_process_of_ours_masks_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is handed to another process masks there all that is masked here, and gives names to nothing that has none."""
    here, there = store("hunter2hunter"), SecretsStore()
    monkeypatch.setenv("H_FROM_ENVIRONMENT", "correct-horse")
    here.get("H_FROM_ENVIRONMENT")
    here.hide({"url": ["battery-staple"]})
    there.add_inline(here.handed())
    text = "hunter2hunter correct-horse battery-staple"
    assert here.mask(text) == there.mask(text) == "*** *** ***"
    assert (there.handed(), there.get(""), repr(there)) == (here.handed(), None, "SecretsStore(s0)")


def test_what_is_told_goes_into_no_other_file(tmp_path: Path) -> None:
    """A program that has the word for the pipe, but not the pipe, tells nobody; one that has both is heard before it goes on."""
    reading, writing = os.pipe()
    heard = SecretsStore()
    tell = teller_of(word_for(writing))
    with (tmp_path / "f").open("wb") as file:
        word = f"{file.fileno()}:{word_for(writing).partition(':')[2]}"
        assert [teller_of(wrong) for wrong in (word, "", "x", "987654:1")] == [None] * 4
    assert tell is not None
    told = SecretsStore()
    told.told = tell
    told.hide("hunter2\nhunter")
    reply = Reply(reading, heard)
    assert reply.drain() is False
    assert heard.mask("a hunter2\nhunter") == "a ***"
    os.write(writing, b"\x80")
    os.close(writing)
    assert (reply.drain(), reply.result) == (True, b"\x80")
    tell(["nobody listens"])
    os.close(reading)
