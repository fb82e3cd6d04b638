"""Iterations on a Dask cluster: one whose scheduler's address is given, or one of this machine that is started for them.

A local cluster has one thread per worker, so that a worker which dies, or is stopped, takes one iteration with it; it is not tried again,
as what an iteration did is recorded. With `teardown_dask` a cluster ends with the search, also one that was there before; else a local one
stays for the next search of this process. An iteration that is cancelled is taken back, and its worker started anew if nothing else runs
there. Dask's client works in threads of its own; this loop only hears when an iteration is done.
"""

import asyncio
import importlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.to_thread

from tracker.context import Context
from tracker.errors import InvalidRequest, TrackerError, Unreachable
from tracker.executors.elsewhere import introduce, job_of, take_results
from tracker.executors.handler import Handler
from tracker.executors.plan import LOCAL, Plan
from tracker.executors.pool import check_importable
from tracker.executors.worker import Job, execute

PATIENCE = 10  # seconds that a scheduler may take to answer

_kept: dict[int, Any] = {}  # by process id: the local cluster that nobody asked to tear down, which belongs to the process


class OnDask:
    """Iterations as tasks of a cluster."""

    def __init__(self, client: Any, parallel: int, handler: Handler) -> None:
        self.parallel = parallel
        self._client, self._handler = client, handler

    async def run(self, child: Context, begun: Callable[[], None]) -> None:
        """Work on one iteration; it has failed, when the cluster loses it."""
        await introduce(child)
        job = job_of(child, self._handler, echo=False)
        key = f"iteration-{child.uid}"
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def tell(_: Any) -> None:
            with suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(done.set)

        future = await anyio.to_thread.run_sync(self._submit, job, key, tell)
        begun()
        try:
            await done.wait()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._take_back, future, key)
                await take_results(child)
            raise
        try:
            child.absorb(await anyio.to_thread.run_sync(_outcome, future))
        except TrackerError as error:
            await take_results(child)
            child.set_state(error=error.message, commit=False)

    def _submit(self, job: Job, key: str, tell: Callable[[Any], None]) -> Any:
        future = self._client.submit(execute, job, key=key, pure=False, retries=0)
        future.add_done_callback(tell)
        return future

    def _take_back(self, future: Any, key: str) -> None:
        """Forget a task, and end the worker that still works on it and on nothing else: threads cannot be ended."""
        with suppress(Exception):  # a cluster that has gone has nothing to take back
            busy = [worker for worker, keys in self._client.processing().items() if list(keys) == [key]]
            future.cancel(force=True)
            if busy:
                self._client.restart_workers(busy, timeout=PATIENCE, raise_for_error=False)


def _outcome(future: Any) -> dict[str, Any]:
    """What the worker says of the iteration. Raises TrackerError, when it cannot say it any more."""
    try:
        status: dict[str, Any] = future.result(timeout=PATIENCE)
    except _distributed().KilledWorker as error:
        raise TrackerError(f"its Dask worker died: {getattr(error.last_worker, 'address', 'which is not known')}") from None
    except asyncio.CancelledError:
        raise TrackerError("the Dask cluster lost it") from None
    return status


@asynccontextmanager
async def on_dask(plan: Plan, handler: Handler, *, workdir: str) -> AsyncIterator[OnDask]:
    """A client of the plan's cluster for as long as the search goes on."""
    if workdir:
        raise InvalidRequest("the workers of a Dask cluster work where they were started: leave workdir out", field="workdir")
    _distributed()
    if plan.dask == LOCAL:
        check_importable()
    cluster, client, threads = await anyio.to_thread.run_sync(_open, plan)
    try:
        yield OnDask(client, max(1, min(plan.parallel or threads, threads)), handler)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(_close, plan, cluster, client)


def _distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ImportError:
        raise InvalidRequest("dask_cluster_uri needs distributed: pip install 'run-tracker[dask]'", field="dask_cluster_uri") from None


def _open(plan: Plan) -> tuple[Any, Any, int]:
    """The cluster, if it is ours, a client of it, and how many iterations it takes at a time."""
    distributed = _distributed()
    cluster = _local(max(1, min(plan.parallel or os.cpu_count() or 1, plan.total))) if plan.dask == LOCAL else None
    try:
        client = distributed.Client(cluster or plan.dask, timeout=PATIENCE, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise Unreachable(f"no Dask scheduler answers at {plan.dask}: {error}") from None
    return cluster, client, sum(client.nthreads().values()) if cluster is None else len(cluster.worker_spec)


def _local(workers: int) -> Any:
    """A cluster of this machine: the one that was kept, or a new one."""
    import dask

    kept = _kept.get(os.getpid())
    if kept is not None and kept.status.name == "running":
        if workers > len(kept.worker_spec):
            kept.scale(workers)
        return kept
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        cluster = _distributed().LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0")
    _kept[os.getpid()] = cluster
    return cluster


def _close(plan: Plan, cluster: Any, client: Any) -> None:
    if plan.teardown and cluster is None:
        client.shutdown()
    client.close()
    if plan.teardown and cluster is not None:
        _kept.pop(os.getpid(), None)
        cluster.close()
