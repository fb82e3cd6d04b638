"""Single appends: many clients that send one event at a time and wait for it to be durable, from a load generator in C."""

import shutil
import subprocess
from pathlib import Path

import msgspec

from benchmarks import naive
from benchmarks.data import START
from benchmarks.figure import Figure, number, size
from benchmarks.serving import Server, get, post, serving
from events.types import MetricLogged

CONNECTIONS, SEQUENCE = 16, 0x7FFF0001
SOURCE = Path(__file__).with_name("load.c")


def compiled(directory: Path) -> Path:
    """The load generator, compiled here and now."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise RuntimeError("single_appends needs a C compiler (cc)")
    program = directory / "load"
    subprocess.run([compiler, "-O2", "-D_GNU_SOURCE", "-o", str(program), str(SOURCE)], check=True)
    return program


def template(port: int) -> tuple[bytes, list[str]]:
    """A request to append one metric, and where in it each connection's number and counter go."""
    event = MetricLogged(time=START, key="loss", value=0.123456789, step=SEQUENCE)
    body = {"stream": "run/bench/single-########", "producer": "single-########", "sequence": SEQUENCE, "events": [event]}
    request = post(port, msgspec.msgpack.encode({"batches": [body]}))
    places, mark, counter = [], b"########", SEQUENCE.to_bytes(4, "big")
    for sign, wanted in (("i", mark), ("s", counter)):
        at = request.find(wanted)
        while at >= 0:
            places.append(f"{sign}{at}")
            at = request.find(wanted, at + 1)
    return request, places


def load(program: Path, server: Server, request: bytes, places: list[str], seconds: float) -> list[float]:
    """Requests, errors, seconds, p50 and p99 in microseconds."""
    file = program.with_suffix(".request")
    file.write_bytes(request)
    command = [str(program), str(server.port), str(CONNECTIONS), str(seconds), str(file), *places]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    if done.stderr:
        raise RuntimeError(done.stderr)
    return [float(word) for word in done.stdout.split()]


def run(directory: Path) -> list[Figure]:
    """Sixteen connections, each with a producer and a run of its own."""
    program, seconds = compiled(directory), max(1.0, size(50) / 10)
    with serving(directory / "single") as server:
        request, places = template(server.port)
        nothing = load(program, server, get(server.port, "/livez"), [], seconds)
        count, _, took, p50, p99 = load(program, server, request, places, seconds)
    single = naive.one_insert_per_event(directory / "naive.db", size(20_000, 1_000))
    return [
        Figure(
            verb="append",
            name="single-event appends a second, durable",
            value=count / took,
            unit="/s",
            target=3_000,
            better="more",
            method=f"C load generator, {CONNECTIONS} connections, {took:.1f} s, p50 {p50 / 1000:.2f} ms, p99 {p99 / 1000:.2f} ms",
            beside=f"empty requests (GET /livez) {number(nothing[0] / nothing[2])}/s; one INSERT per event without HTTP {number(single)}/s",
        )
    ]
