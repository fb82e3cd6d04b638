"""People are told how a run goes: through which channel, when, in which words, and how often."""

import threading
import time
from typing import Any

import anyio
import pytest

from tests.notifications.conftest import Mailbox, Receiver, Server, until
from tracker import aio
from tracker.context import Context
from tracker.errors import InvalidExpression, InvalidRequest, NotFound
from tracker.notifications.notifier import Notifier, attach
from tracker.notifications.plan import read_plans
from tracker.notifications.services import _security
from tracker.secrets.store import SecretsStore

pytestmark = pytest.mark.anyio


def run_with(server: Server, *notifications: dict[str, Any], secrets: dict[str, str] | None = None) -> Context:
    """A run that has notifications."""
    sources = [{"kind": "inline", "source": secrets or {}}]
    spec = {"notifications": list(notifications), "secret_sources": sources, "parameters": {"p1": 5}}
    return aio.Context.from_dict({"metadata": {"name": "train", "project": "p"}, "spec": spec}, rundb=server.uri)


def told(server: Server, context: Context, count: int = 1) -> list[dict[str, Any]]:
    """The `notification.sent` events of a run, once there are so many."""

    def found() -> list[dict[str, Any]]:
        events = [e["event"] for e in server.events(context.uid) if e["event"]["type"] == "notification.sent"]
        return events if len(events) >= count else []

    events: list[dict[str, Any]] = until(found)
    assert len(events) == count
    return events


LETTER = {"server_host": "h", "sender_address": "a@b.org", "email_addresses": "c@b.org"}


def webhook(receiver: Receiver, **more: Any) -> dict[str, Any]:
    """A notification through a webhook."""
    return {"name": "hook", "kind": "webhook", "params": {"url": receiver.url + "/hook"}, **more}


async def test_a_webhook_gets_the_run(server: Server, receiver: Receiver) -> None:
    """A webhook is sent once, when the run completes, with the message, the severity and the run; and that is on the record."""
    context = run_with(
        server,
        webhook(receiver, severity="warning", message="{{ run.name }}: {{ results.accuracy }} with {{ parameters.p1 }}"),
    )
    async with context:
        context.log_result("accuracy", 0.93)
    event = told(server, context)[0]
    assert {key: event.get(key) for key in ("name", "kind", "state", "status", "severity")} == {
        "name": "hook",
        "kind": "webhook",
        "state": "completed",
        "status": "sent",
        "severity": "warning",
    }
    (method, path, _, body) = receiver.got[0]
    assert (method, path, body["message"], body["severity"]) == ("POST", "/hook", "train: 0.93 with 5", "warning")
    assert body["runs"][0]["metadata"]["uid"] == context.uid
    assert body["runs"][0]["status"]["results"] == {"accuracy": 0.93}
    assert len(receiver.got) == 1


async def test_when_says_which_states(server: Server, receiver: Receiver) -> None:
    """Only the states in `when` are told, each once; children's states are not the run's."""
    context = run_with(server, webhook(receiver, when=["running", "error", "custom"], message="{{ state }} {{ error }}"))

    async def work() -> None:
        async with context:
            async with context.get_child_context():
                pass
            context.set_state("custom")
            context.set_state("custom")
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError):
        await work()
    states = [(event["state"], event["status"]) for event in told(server, context, 3)]
    assert states == [("running", "sent"), ("custom", "sent"), ("error", "sent")]
    assert [body["message"].strip() for body in receiver.bodies] == ["running", "custom", "error RuntimeError: boom"]


async def test_a_condition_decides(server: Server, receiver: Receiver) -> None:
    """What a condition does not allow is not sent; one that cannot be answered is on the record as an error."""
    context = run_with(
        server,
        webhook(receiver, name="no", condition="results.accuracy < 0.5"),
        webhook(receiver, name="yes", condition='{{ run["status"]["results"]["accuracy"] > 0.5 and parameters.p1 == 5 }}'),
        webhook(receiver, name="unclear", condition="results.loss < 1"),
    )
    async with context:
        context.log_result("accuracy", 0.93)
    events = {event["name"]: event for event in told(server, context, 2)}
    assert {name: event["status"] for name, event in events.items()} == {"yes": "sent", "unclear": "error"}
    assert "loss" in events["unclear"]["reason"]
    assert len(receiver.got) == 1


async def test_a_message_that_cannot_be_rendered_is_told_all_the_same(server: Server, receiver: Receiver) -> None:
    """When the message names what is not there, the usual words are sent, and the record says why."""
    context = run_with(server, webhook(receiver, message="loss {{ results.loss }}"))
    async with context:
        context.log_result("accuracy", 0.93)
    event = told(server, context)[0]
    assert event["status"] == "sent"
    assert "loss" in event["reason"]
    assert "accuracy = 0.93" in receiver.bodies[0]["message"]


async def test_a_body_of_ones_own(server: Server, receiver: Receiver) -> None:
    """`override_body` is a body with templates; one that is an expression alone keeps its type; method and headers are as said."""
    body = {"text": "{{ name }} is {{ state }}", "accuracy": "{{ results.accuracy }}", "all": ["{{ message }}", 7]}
    params = {"url": receiver.url + "/own", "method": "put", "headers": {"X-Token": "t"}, "override_body": body}
    context = run_with(server, webhook(receiver, params=params, message="hello"))
    async with context:
        context.log_result("accuracy", 0.93)
    told(server, context)
    method, path, headers, got = receiver.got[0]
    assert (method, path, headers["X-Token"]) == ("PUT", "/own", "t")
    assert got == {"text": "train is completed", "accuracy": 0.93, "all": ["hello", 7]}


async def test_slack(server: Server, receiver: Receiver) -> None:
    """Slack gets its blocks, with what is markup to it escaped."""
    hook = {"name": "slack", "kind": "slack", "secret_params": {"webhook": receiver.url + "/services/T000"}, "message": "a < b"}
    context = run_with(server, hook)
    async with context:
        pass
    assert told(server, context)[0]["status"] == "sent"
    _, path, _, body = receiver.got[0]
    assert path == "/services/T000"
    assert [block["text"]["text"] for block in body["attachments"][0]["blocks"]] == ["[info] p/train: completed", "a &lt; b"]


async def test_mail(server: Server, mailbox: Mailbox) -> None:
    """A letter reaches the mail server with its subject, text and receivers; a receiver that is refused is on the record."""
    params = {
        "server_host": "127.0.0.1",
        "server_port": mailbox.port,
        "use_tls": False,
        "sender_address": "tracker@example.org",
        "email_addresses": "a@example.org, b@example.org",
        "subject": "Run {{ name }} ended",
    }
    secret = {"username": "tracker", "password": "mail-password"}
    context = run_with(
        server,
        {"name": "mail", "kind": "mail", "params": params, "secret_params": secret, "message": "grüße\n.\nfrom {{ project }}"},
        {"name": "refused", "kind": "mail", "params": {**params, "email_addresses": ["a@example.org", "nobody@example.org"]}},
    )
    async with context:
        pass
    events = {event["name"]: event for event in told(server, context, 2)}
    assert events["mail"]["status"] == "sent"
    letters = {letter["To"]: letter for letter in mailbox.letters}
    letter = letters["b@example.org"]  # each receiver has a letter of its own
    assert letter["Subject"] == "Run train ended"
    assert "tracker@example.org" in letter["From"]
    assert letter.get_content_type() == "text/plain"
    assert letter.get_content().splitlines() == ["grüße", ".", "from p"]
    assert any(line.startswith("AUTH") for line in mailbox.said)
    assert (events["refused"]["status"], "nobody@example.org" in events["refused"]["reason"]) == ("error", True)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, (465, "ssl")),
        ({"server_port": "587"}, (587, "starttls")),
        ({"start_tls": True}, (587, "starttls")),
        ({"server_port": 25}, (25, "insecure")),
        ({"server_port": 2525, "use_tls": False}, (2525, "insecure")),
        ({"server_port": 2525}, (2525, "ssl")),
    ],
)
def test_mail_is_encrypted_unless_said_otherwise(params: dict[str, Any], expected: tuple[int, str]) -> None:
    """Without a word a letter goes over an encrypted connection; the port, or a parameter, says otherwise."""
    assert _security(params) == expected


async def test_any_service_of_apprise(server: Server, receiver: Receiver) -> None:
    """Any other kind goes through apprise by its URL; what the service answers is on the record."""
    place = receiver.url.removeprefix("http://")
    context = run_with(
        server,
        {"name": "a", "kind": "json", "params": {"url": f"json://{place}/apprise"}, "message": "hello {{ name }}", "severity": "error"},
        {"name": "b", "kind": "apprise", "secret_params": {"urls": ["json://127.0.0.1:9/secret-token-1234"]}},
    )
    async with context:
        pass
    events = {event["name"]: event for event in told(server, context, 2)}
    assert (events["a"]["status"], events["b"]["status"]) == ("sent", "error")
    assert "secret-token" not in events["b"]["reason"]
    assert (receiver.got[0][1], receiver.bodies[0]["message"], receiver.bodies[0]["type"]) == ("/apprise", "hello train", "failure")


async def test_the_console(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """On the console a message is a line of title and its text."""
    context = run_with(server, {"name": "c", "kind": "console", "message": "all {{ 1 + 1 }} done"}, {"name": "n", "kind": "ipython"})
    async with context:
        pass
    told(server, context, 2)
    printed = capsys.readouterr().out
    assert "[info] p/train: completed\nall 2 done\n" in printed
    assert f"Run train ({context.uid}) of project p is completed." in printed


async def test_trouble_of_a_channel_is_not_the_jobs(server: Server, receiver: Receiver) -> None:
    """A channel that refuses, redirects or is not there leaves the run as it is, is tried once, and its reason is on the record."""
    receiver.status = 302
    context = run_with(
        server,
        webhook(receiver, name="redirects"),
        {"name": "away", "kind": "webhook", "params": {"url": "http://127.0.0.1:9/"}},
        {"name": "unknown", "kind": "webhook", "params": {"url": "http://no.such.host.invalid/"}},
        {"name": "service", "kind": "json", "params": {"url": receiver.url.replace("http", "json") + "/service"}},
    )
    async with context:
        pass
    events = {event["name"]: event for event in told(server, context, 4)}
    assert {event["status"] for event in events.values()} == {"error"}
    assert "302" in events["redirects"]["reason"]
    assert "refused" in events["away"]["reason"]
    assert sorted(path for _, path, *_ in receiver.got) == ["/hook", "/service"]
    assert server.run(context.uid)["state"] == "completed"


async def test_a_slow_channel_delays_nobody(server: Server, receiver: Receiver) -> None:
    """The job goes on while a channel thinks; a message that is not out within the bound is given up, and those behind it too."""
    receiver.gate.clear()
    context = run_with(server)
    plans = read_plans([webhook(receiver, when=["one", "two"])], context.secrets)
    notifier = Notifier(context, plans, bound=1.5)
    context.on_state.append(notifier.hear)
    begun = time.monotonic()
    context.set_state("one")
    context.set_state("two")
    assert time.monotonic() - begun < 1.2
    events = await anyio.to_thread.run_sync(told, server, context, 2)
    assert [(event["state"], event["status"]) for event in events] == [("one", "error"), ("two", "error")]
    assert "too long" in events[0]["reason"]
    receiver.gate.set()
    await context.commit(completed=True)


async def test_secret_params_go_to_the_channel_only(server: Server, receiver: Receiver) -> None:
    """Secret parameters reach the channel, from the run's secrets too, and are masked in whatever else is recorded or sent."""
    context = run_with(
        server,
        webhook(receiver, params={}, secret_params={"secret": "HOOK"}, message="p1 {{ results.told }}"),
        secrets={"HOOK": f'{{"url": "{receiver.url}/hook-canary-1", "headers": {{"X-Key": "header-canary-2"}}}}'},
    )
    async with context:
        context.log_result("told", "header-canary-2 and hook-canary-1")
    told(server, context)
    _, path, headers, body = receiver.got[0]
    assert (path, headers["X-Key"]) == ("/hook-canary-1", "header-canary-2")
    assert body["message"] == "p1 *** and ***"
    assert "canary" not in str(server.events(context.uid)) + str(server.run(context.uid)) + str(body)


async def test_another_process_sends_nothing(server: Server, receiver: Receiver) -> None:
    """The same state is told once; iterations and forked children tell nothing."""
    import os

    context = run_with(server, webhook(receiver))
    child = os.fork()
    if child == 0:  # in the child: the state is recorded, and nobody is told
        context.on_state[0](context, "completed", "")
        os._exit(0 if threading.active_count() == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    async with context:
        pass
    told(server, context)
    assert len(receiver.got) == 1


@pytest.mark.parametrize(
    ("notification", "error", "said"),
    [
        ({"kind": "nonsense"}, InvalidRequest, "nonsense"),
        ({"kind": "apprise", "params": {"url": "nonsense://x"}}, InvalidRequest, "number 1"),
        ({"kind": "console", "severity": "loud"}, InvalidRequest, "severity"),
        ({"kind": "console", "when": [5]}, InvalidRequest, "when"),
        ({"kind": "console", "condition": "import os"}, InvalidExpression, "condition"),
        ({"kind": "console", "message": "{{ a"}, InvalidExpression, "message"),
        ({"kind": "console", "params": {"x": 1}}, InvalidRequest, "'x'"),
        ({"kind": "console", "colour": 1}, InvalidRequest, "colour"),
        ({"kind": "webhook"}, InvalidRequest, "'url'"),
        ({"kind": "webhook", "params": {"url": "file:///etc/passwd"}}, InvalidRequest, "https://"),
        ({"kind": "webhook", "params": {"url": "http://h/", "method": "BREW"}}, InvalidRequest, "BREW"),
        ({"kind": "webhook", "params": {"url": "http://h/", "headers": {"a": "b\r\nc: d"}}}, InvalidRequest, "headers"),
        ({"kind": "webhook", "params": {"url": "http://h/", "override_body": {"a": "{{ ("}}}, InvalidExpression, "override_body"),
        ({"kind": "slack"}, InvalidRequest, "'webhook'"),
        ({"kind": "mail", "params": {"server_host": "h"}}, InvalidRequest, "sender_address"),
        ({"kind": "mail", "params": {"server_host": "h", "sender_address": "a@b.org", "email_addresses": "x"}}, InvalidRequest, "'x'"),
        ({"kind": "mail", "params": {**LETTER, "server_port": 25, "username": "u", "password": "p"}}, InvalidRequest, "plain connection"),
        ({"kind": "mail", "params": {**LETTER, "password": "p"}}, InvalidRequest, "no username"),
        ({"kind": "mail", "params": {**LETTER, "server_port": "x"}}, InvalidRequest, "server_port"),
        ({"kind": "slack", "secret_params": {"secret": "NONE"}}, NotFound, "NONE"),
        ({"kind": "slack", "secret_params": {"secret": "NONE", "x": 1}}, InvalidRequest, "alone"),
        ({"kind": "slack", "params": 5}, InvalidRequest, "params"),
        (5, InvalidRequest, "Notification"),
    ],
)
async def test_what_could_never_be_sent_is_refused_at_once(notification: Any, error: type[Exception], said: str) -> None:
    """A notification that is wrong is refused before the run begins, with the thing named."""
    with pytest.raises(error, match=said):
        read_plans([notification], SecretsStore())


async def test_a_run_on_its_own_is_never_told_lost(server: Server) -> None:
    """Only who follows a run hears that it was found lost, so a context that nobody follows refuses to promise that."""
    with pytest.raises(InvalidRequest, match=r"'n': a run that is lost does not hear of it .* run_function"):
        run_with(server, {"kind": "console", "name": "n", "when": ["error", "lost"]})


async def test_names_are_unique(server: Server) -> None:
    """Two notifications of one name are refused; objects are taken as dicts are."""
    from tracker.model.notification import Notification

    with pytest.raises(InvalidRequest, match="two notifications are named 'a'"):
        read_plans([{"name": "a", "kind": "console"}, {"name": "a", "kind": "ipython"}], SecretsStore())
    context = run_with(server)
    attach(context, [Notification(kind="console", name="n", when=["completed"], message="m", severity="info")])
    async with context:
        pass
    assert told(server, context)[0]["name"] == "n"
