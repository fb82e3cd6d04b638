"""The table of figures: `make bench`, or `python -m benchmarks.run [verb ...]`.

Each module measures in a fresh directory on the disk of this repository (BENCH_DIR: elsewhere). BENCH_SCALE=0.05 is a quick look.
A full run of all verbs writes benchmarks/results/<date>-<machine>.json and .md; a partial or scaled one only prints, unless BENCH_WRITE=1.
"""

import datetime
import importlib
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.figure import SCALE, Figure, machine, number

VERBS = (
    "start",
    "sdk_call",
    "runs",
    "iterations",
    "single_appends",
    "ingest",
    "disk",
    "tail",
    "upload",
    "verify_rebuild",
    "history",
    "search",
    "flat_cost",
    "dataset",
)
RESULTS = Path(__file__).with_name("results")


def main() -> None:
    """Measure, print, write."""
    chosen = sys.argv[1:] or list(VERBS)
    if unknown := set(chosen) - set(VERBS):
        sys.exit(f"no such verb: {', '.join(sorted(unknown))}; there are {', '.join(VERBS)}")
    home = Path(os.environ.get("BENCH_DIR") or Path(__file__).parents[1] / "build")
    home.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="bench-", dir=home))
    console = Console(stderr=True)
    figures: list[Figure] = []
    failed = []
    try:
        about = machine(directory)
        for verb in chosen:
            began = time.monotonic()
            (own := directory / verb).mkdir()
            try:
                figures += importlib.import_module(f"benchmarks.{verb}").run(own)
            except Exception:  # noqa: BLE001 - the other verbs are still worth their figures
                console.print_exception()
                failed.append(verb)
            shutil.rmtree(own)
            console.print(f"{verb}: {time.monotonic() - began:.0f} s", style="dim")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    show(figures, about)
    if os.environ.get("BENCH_WRITE") or (SCALE == 1 and not sys.argv[1:]):
        console.print(f"written to {write(figures, about)}")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def cells(figure: Figure) -> tuple[str, ...]:
    """A figure as a row of text."""
    sign = {"more": ">=", "less": "<="}[figure.better]
    target = "" if figure.target is None else f"{sign} {number(figure.target)} {figure.unit}"
    met = {None: "", True: "yes", False: "NO"}[figure.met]
    return figure.verb, figure.name, f"{number(figure.value)} {figure.unit}", target, met, figure.beside, figure.method


HEADINGS = ("verb", "figure", "measured", "target", "met", "beside it", "method")


def show(figures: list[Figure], about: dict[str, Any]) -> None:
    """The table at a terminal, or for a pipe."""
    console = Console(width=None if sys.stdout.isatty() else 200)
    table = Table(*HEADINGS, title=", ".join(f"{name} {value}" for name, value in about.items()), show_lines=True)
    for figure in figures:
        table.add_row(*cells(figure), style="red" if figure.met is False else None)
    console.print(table)


def write(figures: list[Figure], about: dict[str, Any]) -> Path:
    """The same as JSON and as Markdown; the path of the latter."""
    name = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}-{platform.machine()}-{about['cores']}core"
    RESULTS.mkdir(exist_ok=True)
    record = {"machine": about, "figures": [{**msgspec.to_builtins(f), "met": f.met} for f in figures]}
    (RESULTS / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
    lines = ["# Figures", "", *(f"- {key}: {value}" for key, value in about.items()), ""]
    lines += ["| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells(figure)) + " |" for figure in figures]
    path = RESULTS / f"{name}.md"
    path.write_text("\n".join(lines) + "\n")
    return path


if __name__ == "__main__":
    main()
