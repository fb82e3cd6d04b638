"""Samples of stored events, kept for ever: whatever was once written can be read by every later version.

A sample is what a batch of one event looked like in the store (`stored`, hex of the body), and the same event as JSON.
A new event, or a new field, needs a new sample. Samples are never edited; when a shape changes, its old tag's samples stay.
"""

import json
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from events.codec import decode, encode
from events.types import Event, Unknown

GOLDEN = Path(__file__).parent.parent / "golden" / "events"
VOCABULARY: dict[str, Any] = {kind.__struct_config__.tag: kind for kind in get_args(Event)}
SAMPLES = [
    pytest.param(sample, id=f"{file.stem}-{i}")
    for file in sorted(GOLDEN.glob("*.json"))
    for i, sample in enumerate(json.loads(file.read_text()))
]


@pytest.mark.parametrize("tag", VOCABULARY)
def test_every_event_has_a_sample_that_shows_all_its_fields(tag: str) -> None:
    """No event, and no field of one, is without a recorded sample of what it looks like in the store."""
    file = GOLDEN / f"{tag}.json"
    assert file.exists(), f"{tag} has no sample: add {file}"
    shown = {field for sample in json.loads(file.read_text()) for field in sample["event"]}
    missing = set(VOCABULARY[tag].__struct_fields__) - shown - {"iteration"}
    assert not missing, f"no sample of {tag} shows {missing}"


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_sample_decodes_to_what_it_always_meant(sample: dict[str, Any]) -> None:
    """Bytes stored by any earlier version decode to the same event."""
    (event,) = decode(bytes.fromhex(sample["stored"]))
    assert not isinstance(event, Unknown)
    assert event == msgspec.json.decode(json.dumps(sample["event"]), type=Event)


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_sample_survives_being_stored_again(sample: dict[str, Any]) -> None:
    """An event read from an old log and written to a new one is the same event."""
    events = decode(bytes.fromhex(sample["stored"]))
    assert decode(encode(events)) == events
