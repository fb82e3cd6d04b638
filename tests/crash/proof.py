"""The product's own answers about a data directory that nobody writes."""

from pathlib import Path

from tracker.audit.verify import verify
from tracker.cli.files import reading, views_file


async def prove(data: Path, *, caught_up: bool = True) -> list[str]:
    """What `tracker verify` finds wrong. The views are equal to a rebuild, and at the log's end when they had the time to get there."""
    async with reading(data) as log:
        answers = await verify(log, data, views_file(data))
        head = log.head.offset
    faults = [f"{answer.question}: {answer.text} {answer.faults}" for answer in answers if answer.holds is False]
    (views,) = [answer for answer in answers if answer.question == "views"]
    if caught_up and (views.holds is None or f"{head:,}" not in views.text):
        faults.append(f"views: they are not at {head}: {views.text}")
    return faults
