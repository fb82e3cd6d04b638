"""What must be true of the stored data for the demo to have succeeded: asked over plain HTTP, as any program could.

Each check is a sentence and an answer. Nothing here trusts what the demo printed.
"""

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

ITERATIONS = 9
EPOCHS = 40
METRICS = {"accuracy", "loss", "train_accuracy"}
ARTIFACTS = {"confusion-matrix": b"\x89PNG\r\n", "data-sample": b"pixel_0,", "model": b"\x80"}


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the demo saw, and where to ask what was stored."""

    http: aiohttp.ClientSession
    project: str
    uid: str
    console: bytes  # as it was tailed live
    exit_code: int
    printed: Path  # what the job wrote to its own output
    data: Path
    journals: Path

    async def ask(self, path: str, **params: str) -> Any:
        """A JSON answer about the run."""
        async with self.http.get(f"/v1/projects/{self.project}/runs/{self.uid}{path}", params=params) as reply:
            reply.raise_for_status()
            return msgspec.json.decode(await reply.read())

    async def bytes(self, path: str) -> bytes:
        """The bytes of a console or an artifact."""
        async with self.http.get(f"/v1/projects/{self.project}/runs/{self.uid}{path}") as reply:
            reply.raise_for_status()
            return await reply.read()


Check = Callable[[Evidence], Awaitable[bool]]


async def check_all(evidence: Evidence) -> list[tuple[str, bool]]:
    """Every sentence with its answer. A check that cannot even be asked is answered no, with the reason."""
    answers = []
    for sentence, check in CHECKS.items():
        try:
            answers.append((sentence, await check(evidence)))
        except (aiohttp.ClientError, LookupError, TypeError, ValueError, OSError) as error:
            answers.append((f"{sentence} ({type(error).__name__}: {error})", False))
    return answers


async def completed(evidence: Evidence) -> bool:
    """Job and run ended well."""
    run = await evidence.ask("")
    return evidence.exit_code == 0 and run["state"] == "completed" and run["ended_at"] > run["started_at"] > 0


async def all_iterations(evidence: Evidence) -> bool:
    """Children with their own parameters and results."""
    rows = await iterations(evidence)
    distinct = {(row["parameters"]["hidden"], row["parameters"]["learning_rate"]) for row in rows}
    good = all(row["state"] == "completed" and 0 < row["results"]["accuracy"] <= 1 for row in rows)
    return good and len(rows) == len(distinct) == ITERATIONS


async def iterations(evidence: Evidence) -> list[dict[str, Any]]:
    """The children's rows."""
    return list((await evidence.ask("/iterations"))["iterations"])


async def all_points(evidence: Evidence) -> bool:
    """Every epoch of every metric of every child, in order, ending at the child's result."""
    for row in await iterations(evidence):
        for key in METRICS:
            history = await evidence.ask("/metrics/history", key=key, iteration=str(row["iteration"]))
            if history["steps"] != list(range(EPOCHS)):
                return False
            if key in row["results"] and history["values"][-1] != row["results"][key]:
                return False
    return True


async def best_is_best(evidence: Evidence) -> bool:
    """The marked iteration is the first with the highest accuracy, and the run has its results."""
    rows, run = await iterations(evidence), await evidence.ask("")
    best = max(rows, key=lambda row: (row["results"]["accuracy"], -row["iteration"]))
    accuracy = best["results"]["accuracy"]
    return bool(run["best_iteration"] == best["iteration"] and run["results"]["best_accuracy"] == run["results"]["accuracy"] == accuracy)


async def console_is_whole(evidence: Evidence) -> bool:
    """What was tailed live is what is stored, and has every line the job printed, in order."""
    if await evidence.bytes("/log") != evidence.console:
        return False
    stored = iter(evidence.console.splitlines())
    printed = evidence.printed.read_bytes().splitlines()
    return len(printed) > 4 * ITERATIONS and all(line in stored for line in printed)


async def artifacts_are_whole(evidence: Evidence) -> bool:
    """Picture, model and sample come back with the bytes their digests promise."""
    rows = {row["key"]: row for row in (await evidence.ask("/artifacts"))["artifacts"]}
    for key, beginning in ARTIFACTS.items():
        body = await evidence.bytes(f"/artifacts/{key}/content")
        if hashlib.sha256(body).hexdigest() != rows[key]["digest"] or len(body) != rows[key]["size"] or not body.startswith(beginning):
            return False
    return set(rows) >= set(ARTIFACTS)


async def nothing_is_left(evidence: Evidence) -> bool:
    """The journal of the job was delivered to its last event, so it is gone."""
    return not list(evidence.journals.glob("*.journal*"))


CHECKS: dict[str, Check] = {
    "the job ended with exit code 0 and its run is completed": completed,
    f"{ITERATIONS} iterations completed, each with its own parameters and results": all_iterations,
    f"each has {EPOCHS} points of every metric, in order, ending at its result": all_points,
    "the iteration with the highest accuracy is marked best, and the run has its results": best_is_best,
    "the console tailed live is byte for byte the stored one, and holds every line the job printed": console_is_whole,
    "picture, model and data sample come back with the bytes their digests promise": artifacts_are_whole,
    "the job's journal was delivered to the last event": nothing_is_left,
}
