"""One measured number with its method, its target and the naive way beside it; and the machine it was measured on.

Sizes follow BENCH_SCALE (1 = what the targets are stated for; 0.05 = a quick look, whose numbers mean little).
"""

import os
import platform
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

SCALE = float(os.environ.get("BENCH_SCALE", "1"))


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of the table. `beside` is the naive alternative, or the ceiling, in words and numbers."""

    verb: str
    name: str
    value: float
    unit: str
    method: str
    target: float | None = None
    better: Literal["more", "less"] = "less"
    beside: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None when there is none."""
        if self.target is None:
            return None
        return self.value >= self.target if self.better == "more" else self.value <= self.target


def size(full: int, least: int = 1) -> int:
    """A size that follows BENCH_SCALE."""
    return max(least, int(full * SCALE))


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which `percent` percent lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(len(ordered) * percent / 100) - 1))]


def number(value: float) -> str:
    """Three significant digits, thousands separated."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def machine(directory: Path) -> dict[str, str | int | float]:
    """The machine, as far as it matters to the figures; `directory` is where the data lie while measuring."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "file_system": _file_system(directory),
        "fdatasync_64k_ms": round(_fdatasync(directory) * 1e3, 3),
        "scale": SCALE,
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _file_system(directory: Path) -> str:
    best = ("", "unknown")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mounted, kind, *_ = line.split()
        if str(directory.absolute()).startswith(mounted) and len(mounted) > len(best[0]):
            best = (mounted, kind)
    return best[1]


def _fdatasync(directory: Path) -> float:
    """The median time to append 64 KiB and have it on the disk."""
    path, times = directory / "probe", []
    with path.open("wb", buffering=0) as file:
        for _ in range(50):
            began = time.perf_counter()
            file.write(bytes(65536))
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    path.unlink()
    return percentile(times, 50)


def rss(pid: int | str = "self") -> float:
    """Resident memory of a process in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_seconds(pid: int) -> float:
    """Processor time a process has used, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
