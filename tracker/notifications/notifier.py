"""Sends the notifications of a run when its state changes, once for each change, from the process that made the change.

An attempt that goes on with a run which was running is no change. A change is heard in the caller's thread, where only a picture of the
run is taken. Sending happens in threads of its own: one lane for each notification, so that its messages keep their order; a message that
is not out within a bound after the change is given up. What became of each is recorded as `NotificationSent`. A message is tried once: an
attempt that may have arrived is never repeated. Nothing else sends: no server, no rebuild, no replay, no forked child.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from events.types import NotificationSent
from projections.runs import LOST
from tracker.errors import InvalidRequest, TrackerError
from tracker.notifications.message import Message, text_of_run, title_of
from tracker.notifications.plan import Plan, read_plans

if TYPE_CHECKING:
    from tracker.context import Context

BOUND = 15.0  # seconds from the change of state until a message is given up
WAITING = 100  # messages of one notification that may wait
MAX_REASON = 500  # characters


def attach(context: "Context", notifications: Iterable[Any], *, followed: bool = False) -> "Notifier":
    """Have the notifications (objects or dicts) of a run sent when its state changes. A run that is `followed` also hears what others find
    out about it.

    Raises InvalidRequest, InvalidExpression or NotFound for one that could never be sent as it is.
    """
    plans = read_plans(notifications, context.secrets)
    for plan in plans:
        if LOST in plan.when and not followed:
            raise InvalidRequest(
                f"notification {plan.name!r}: a run that is lost does not hear of it itself, so nobody would send this; run the work by "
                "run_function, or leave 'lost' out of when",
                field="when",
            )
    notifier = Notifier(context, plans)
    context.on_state.append(notifier.hear)
    return notifier


class Notifier:
    """The notifications of one run."""

    def __init__(self, context: "Context", plans: list[Plan], bound: float = BOUND) -> None:
        self._context, self._bound = context, bound
        self._lanes = [Lane(plan, self._done, self._drained) for plan in plans]
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._last = ""

    def hear(self, context: "Context", state: str, error: str) -> None:
        """The run went to a state."""
        if context.iteration or os.getpid() != self._pid or state == (self._last or context.memory.found):
            return
        self._last = state
        lanes = [lane for lane in self._lanes if state in lane.plan.when]
        if not lanes:
            return
        values = values_of(context, state, error)
        with self._lock:
            context.connection.waits.add(self.wait)
            for lane in lanes:
                lane.put(state, values, self._bound)

    def wait(self) -> None:
        """Until all that is to be sent is sent, or given up; that is within a bound."""
        for lane in self._lanes:
            lane.wait(self._bound + 1)

    def _done(self, plan: Plan, state: str, reason: str, *, sent: bool) -> None:
        status = "sent" if sent else "error"
        event = NotificationSent(
            time=time.time_ns(),
            name=plan.name,
            kind=plan.kind,
            state=state,
            status=status,
            severity=plan.severity,
            reason=self._context.secrets.mask(reason)[:MAX_REASON],
        )
        self._context.record(event)

    def _drained(self) -> None:
        with self._lock:
            if all(lane.idle for lane in self._lanes):
                self._context.connection.waits.discard(self.wait)


def values_of(context: "Context", state: str, error: str) -> dict[str, Any]:
    """What conditions and messages may name, without the values of secrets."""
    shape = context.to_dict()
    fixed: dict[str, Any] = {
        "name": context.name,
        "uid": context.uid,
        "project": context.project,
        "state": state,
        "error": error,
        "results": context.results,
        "parameters": context.parameters,
        "labels": context.labels,
        "annotations": context.annotations,
    }
    run = {**shape, **fixed}
    values: dict[str, Any] = context.secrets.masked({**fixed["results"], **fixed, "run": run, "runs": [shape]})
    return values


class Lane:
    """The messages of one notification, one after the other."""

    def __init__(self, plan: Plan, done: Callable[..., None], drained: Callable[[], None]) -> None:
        self.plan, self._done, self._drained = plan, done, drained
        self._waiting: deque[tuple[str, dict[str, Any], float]] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, state: str, values: dict[str, Any], bound: float) -> None:
        """Send soon. Never blocks, while threads can be started."""
        with self._lock:
            full = len(self._waiting) >= WAITING
            if not full:
                self._waiting.append((state, values, time.monotonic() + bound))
            idle = not full and self._thread is None
            if idle:  # not a daemon: the end of the process waits for it
                self._thread = threading.Thread(target=self._work, name=f"tracker-notify-{self.plan.name}", daemon=False)
        if full:
            self._done(self.plan, state, f"not sent: {WAITING} messages wait already", sent=False)
        if idle and self._thread is not None:
            try:
                self._thread.start()
            except RuntimeError:  # the interpreter is ending
                self._work()

    @property
    def idle(self) -> bool:
        """Whether nothing waits or is on its way."""
        return self._thread is None

    def wait(self, timeout: float) -> None:
        """Until nothing waits."""
        thread = self._thread
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            thread.join(timeout)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    break
                state, values, until = self._waiting.popleft()
            self._send(state, values, until)
        self._drained()

    def _send(self, state: str, values: dict[str, Any], until: float) -> None:
        plan = self.plan
        try:
            if plan.condition is not None and not plan.condition.holds(values):
                return
        except TrackerError as error:
            self._done(plan, state, error.message, sent=False)
            return
        text, remark = text_of_run(values), ""
        if plan.message is not None:
            try:
                text = plan.message.render(values)
            except TrackerError as error:
                remark = error.message  # better the usual words than none
        title = title_of(plan.severity, values["project"], values["name"], state)
        message = Message(title=title, text=text, severity=plan.severity, state=state, run=values["runs"][0], values=values)
        reason = _within(until, lambda: plan.channel(message))
        self._done(plan, state, reason or remark, sent=not reason)


def _within(until: float, work: Callable[[], None]) -> str:
    """Why the work failed, "" when it did not; it is left alone when it takes too long."""
    outcome = ["it took too long"]
    begun = threading.Event()

    def run() -> None:
        begun.set()
        try:
            work()
            outcome[0] = ""
        except TrackerError as error:
            outcome[0] = error.message
        except Exception as error:  # noqa: BLE001 - a channel's library may raise anything; the job goes on
            outcome[0] = f"{type(error).__name__}: {error}"

    left = until - time.monotonic()
    if left <= 0:
        return "not sent: those before it took too long"
    thread = threading.Thread(target=run, name="tracker-notify-send", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the interpreter is ending
        run()
    else:
        thread.join(left)
    return outcome[0]
