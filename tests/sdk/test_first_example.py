"""The example that the documentation of execution contexts begins with runs here with its import changed, in all its forms."""

from pathlib import Path
from typing import Any

import pytest

import tracker
import tracker.aio
from tests.sdk.conftest import Job, Server

pytestmark = pytest.mark.anyio


def my_job(context: Any, p1: int = 1, p2: str = "x") -> None:
    """The job of that page."""
    import pandas as pd

    from tracker.artifacts import ChartArtifact

    # access input metadata, values, files, and secrets (passwords)
    print(f"Run: {context.name} (uid={context.uid})")
    print(f"Params: p1={p1}, p2={p2}")
    print("accesskey = {}".format(context.get_secret("ACCESS_KEY")))
    print("file\n{}\n".format(context.get_input("infile.txt", "infile.txt").get()))

    # log scalar result values (job result metrics)
    context.logger.info("started experiment..", param=p1)
    context.log_result("accuracy", p1 * 2)
    context.log_result("loss", p1 * 3)
    context.set_label("framework", "sklearn")

    # log various types of artifacts (file, web page, table), will be versioned and visible in the UI
    context.log_artifact("model", body=b"abc is 123", local_path="model.txt", labels={"framework": "xgboost"})
    context.log_artifact("html_result", body=b"<b> Some HTML <b>", local_path="result.html")

    # create a chart output (will show in the pipelines UI)
    chart = ChartArtifact("chart")
    chart.labels = {"type": "roc"}
    chart.header = ["Epoch", "Accuracy", "Loss"]
    for i in range(1, 8):
        chart.add_row([i, i / 20 + 0.75, 0.30 - i / 20])
    context.log_artifact(chart)

    raw_data = {
        "first_name": ["Jason", "Molly", "Tina", "Jake", "Amy"],
        "last_name": ["Miller", "Jacobson", "Ali", "Milner", "Cooze"],
        "age": [42, 52, 36, 24, 73],
        "testScore": [25, 94, 57, 62, 70],
    }
    df = pd.DataFrame(raw_data, columns=["first_name", "last_name", "age", "testScore"])
    context.log_dataset("mydf", df=df, stats=True)


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_a_handler_gets_the_context(server: Server, tmp_path: Path, kind: str) -> None:
    """Run as a handler, the example leaves its results, labels, artifacts and console, and no secret."""
    (tmp_path / "infile.txt").write_text("some text")
    task = tracker.new_task("example", project="p", params={"p1": 5}, in_path=str(tmp_path)).with_secrets(
        "inline", {"ACCESS_KEY": "s3cr3t-key"}
    )
    if kind == "plain":
        run: Any = tracker.run_function(my_job, task, uri=server.uri)
    else:
        run = await tracker.aio.run_function(my_job, task, uri=server.uri)
    assert tracker.flush()
    uid = run.metadata.uid
    stored = server.run(uid)
    assert (stored["state"], stored["parameters"], stored["results"]) == ("completed", {"p1": 5}, {"accuracy": 10, "loss": 15})
    assert stored["labels"]["framework"] == "sklearn"
    artifacts = {artifact["key"]: artifact for artifact in server.get("/v1/projects/p/artifacts")["artifacts"]}
    kinds = {key: artifact["kind"] for key, artifact in artifacts.items()}
    assert kinds == {"model": "artifact", "html_result": "artifact", "chart": "chart", "mydf": "dataset"}
    assert (artifacts["model"]["labels"], artifacts["chart"]["labels"]) == ({"framework": "xgboost"}, {"type": "roc"})
    assert b"Epoch" in server.bytes("/v1/projects/p/artifacts/chart/content")
    console = server.bytes(f"/v1/projects/p/runs/{uid}/log").decode()
    for line in (
        f"Run: example (uid={uid})",
        "Params: p1=5, p2=x",
        "accesskey = ***",
        "b'some text'",
        "[info] started experiment.. param=5",
    ):
        assert line in console


MAIN = """
    import tracker
    if __name__ == "__main__":
        {first}
        {indent}p1 = context.get_param('p1', 1)
        {indent}p2 = context.get_param('p2', 'a-string')
        {indent}# do something
        {indent}context.log_result("accuracy", p1 * 2)
        {last}
"""


@pytest.mark.parametrize(
    ("first", "indent", "last"),
    [
        ("context = tracker.get_or_create_ctx('train')", "", "context.commit('some message', completed=True)"),
        ("with tracker.get_or_create_ctx('train') as context:", "    ", ""),
    ],
)
def test_a_script_finds_the_context(server: Server, job: Job, first: str, indent: str, last: str) -> None:
    """Run as a script, with a commit at its end or in a `with` block, the example is a completed run."""
    process = job(server.uri, MAIN.format(first=first, indent=indent, last=last))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")
    (run,) = server.get("/v1/projects/default/runs")["runs"]
    assert (run["name"], run["state"], run["parameters"]) == ("train", "completed", {"p1": 1, "p2": "a-string"})
    assert run["results"] == {"accuracy": 2}


@pytest.mark.parametrize("api", [tracker, tracker.aio])
def test_every_public_name_is_there(api: Any) -> None:
    """What a module lists it has, documented; a name that it has not is an AttributeError."""
    for name in api.__all__:
        assert getattr(api, name).__doc__, name
    assert set(api.__all__) <= set(dir(api))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = api.no_such_name
