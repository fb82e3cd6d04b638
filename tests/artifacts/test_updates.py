"""What is said about an artifact can be changed; its bytes cannot: other bytes are another version."""

from pathlib import Path

import pandas as pd
import pytest

import tracker
from tests.artifacts.conftest import ask, blob, versions
from tests.dataitem.conftest import s3
from tracker.artifacts import ChartArtifact
from tracker.errors import Conflict, InvalidRequest

__all__ = ["s3"]


def test_words_change_and_the_version_stays(run: tracker.Context) -> None:
    """Labels, viewer, format and spec are updated; a tag names the version."""
    artifact = run.log_artifact("notes", body="x", labels={"a": "1"})
    artifact.labels["b"] = "2"
    artifact.viewer, artifact.tag, artifact.spec["why"] = "text", "reviewed", "because"
    run.update_artifact(artifact)
    [shown] = versions(run, "notes")
    assert (shown["labels"], shown["viewer"], shown["spec"]) == ({"a": "1", "b": "2"}, "text", {"why": "because"})
    assert shown["tags"] == ["latest", "reviewed"]
    assert run.artifacts["notes"].labels == {"a": "1", "b": "2"}


def test_nothing_changed_is_nothing_recorded(run: tracker.Context) -> None:
    """Updating twice records once; a chart with the same rows is the same chart."""
    chart = run.log_artifact(ChartArtifact("c", [[1, 2]], header=["a", "b"]))
    frame = run.log_dataset("d", pd.DataFrame({"x": [1]}))
    before = run._context.connection.recorder.written
    run.update_artifact(chart)
    run.update_artifact(frame)
    run.update_artifact(run.get_cached_artifact("d"))
    assert run._context.connection.recorder.written == before


def test_other_bytes_are_another_version(run: tracker.Context) -> None:
    """A changed body, a further row, another frame: a new version each, and the old one can be read."""
    artifact = run.log_artifact("notes", body="one")
    artifact.body = "two"
    run.update_artifact(artifact)
    assert [blob(run, row["digest"]) for row in versions(run, "notes")] == [b"one", b"two"]
    chart = run.log_artifact(ChartArtifact("c", [[1, 2]], header=["a", "b"]))
    chart.add_row([2, 3])
    run.update_artifact(chart)
    cached = run.get_cached_artifact("c")
    assert [row["spec"]["rows"] for row in versions(run, "c")] == [1, 2]
    assert cached.get_body() == chart.get_body()
    chart.add_row([3, 4])  # which is not logged
    assert run.get_cached_artifact("c").get_body() != chart.get_body()
    frame = run.log_dataset("d", pd.DataFrame({"x": [1]}))
    frame.df = pd.DataFrame({"x": [1, 2]})
    run.update_artifact(frame)
    assert [row["spec"]["length"] for row in versions(run, "d")] == [1, 2]


def test_a_copy_elsewhere_follows_the_update(run: tracker.Context, tmp_path: Path) -> None:
    """A new version gets a place of its own under the artifact_path of the first."""
    artifact = run.log_artifact("a", body="one", artifact_path=str(tmp_path / "out"))
    first = Path(artifact.target_path)
    artifact.body = "two"
    run.update_artifact(artifact)
    assert (first.read_text(), Path(artifact.target_path).read_text()) == ("one", "two")


def test_other_bytes_do_not_go_over_those_at_a_place(run: tracker.Context, tmp_path: Path) -> None:
    """What was put at a place of its own stays there: an update with other bytes is refused, until it names another place."""
    target = tmp_path / "d.parquet"
    frame = run.log_dataset("d", pd.DataFrame({"x": [1]}), target_path=str(target))
    before = target.read_bytes()
    frame.df = pd.DataFrame({"x": [1, 2]})
    with pytest.raises(Conflict, match="choose another target_path"):
        run.update_artifact(frame)
    assert (target.read_bytes(), len(versions(run, "d"))) == (before, 1)
    frame.df, frame.target_path = pd.DataFrame({"x": [1, 2]}), str(tmp_path / "e.parquet")
    run.update_artifact(frame)
    assert [row["uri"] for row in versions(run, "d")] == [str(target), str(tmp_path / "e.parquet")]
    assert len(pd.read_parquet(tmp_path / "e.parquet")) == 2


def test_no_name_is_made_of_what_is_secret(run: tracker.Context, tmp_path: Path) -> None:
    """Places of datasets and models, chains of places, errors: nothing of a password or signature is told or kept."""
    signed = "example.org/x.parquet?sig=canary-sig"
    told = [
        run.log_dataset("d", None, local_path=f"https://me:canary-pw@{signed}"),
        run.log_dataset("d2", None, target_path=f"https://{signed}", upload=False),
        run.log_model("m", model_file=f"https://{signed}"),
        run.log_artifact("host", target_path="ftp://me:canary-pw@example.org"),
        run.log_artifact("zip", target_path=f"zip://a.csv::https://me:canary-pw@{signed}"),
    ]
    assert [artifact.path for artifact in told] == ["x.parquet", "d2.parquet", "x.parquet", "host", "zip"]
    with pytest.raises(Exception, match=r"127\.0\.0\.1") as caught:
        run.log_artifact("no", body="x", artifact_path="ftp://me:canary-pw@127.0.0.1:1/out")
    assert "canary" not in str(caught.value)
    run.log_result("said", "canary-pw")
    shown = str([artifact.to_dict() for artifact in told]) + str(ask(run, "/artifacts")) + str(run.to_dict()["status"]["artifacts"])
    assert "example.org/x.parquet" in shown
    assert "canary" not in shown
    run.commit()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"canary" in path.read_bytes()]


def test_a_place_with_a_password_is_recorded_without(run: tracker.Context) -> None:
    """The URL of an artifact or of a link tells where, never how to get in."""
    url = "https://me:canary-pw@example.org/x.csv?sig=canary-sig"
    artifact = run.log_artifact("far", target_path=url)
    run.log_model("m", b"x", extra_data={"far": url})
    run.log_dataset("d", pd.DataFrame({"x": [1]}), extra_data={"far": url})
    artifact.labels["a"] = "b"
    run.update_artifact(artifact)
    told = str(ask(run, "/artifacts")) + str(run.to_dict())
    assert "example.org/x.csv" in told
    assert "canary" not in told
    assert len(versions(run, "far")) == 1


def test_only_what_was_logged_here_can_be_updated(run: tracker.Context) -> None:
    """The error names what was given."""
    with pytest.raises(InvalidRequest, match="'unknown' was not"):
        run.update_artifact(tracker.Artifact("unknown", body="x"))
    with pytest.raises(InvalidRequest, match="'dict' was not"):
        run.update_artifact({})  # type: ignore[arg-type]


def test_children_have_artifacts_of_their_own(run: tracker.Context) -> None:
    """What a child logs is named by its iteration, and becomes the run's with the best."""
    with run.get_child_context(c=1) as child:
        logged = child.log_artifact("a", body="child")
        child.mark_as_best()
    assert logged.uri == f"store://artifacts/p/a#1@{run.uid}"
    assert logged.get_body() == b"child"
    assert [row["iteration"] for row in ask(run, f"/runs/{run.uid}/artifacts")["artifacts"]].count(1) == 1
    assert "a" in run.artifacts


def test_artifacts_go_to_a_bucket(run: tracker.Context, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """artifact_path may be a URL of any scheme that is installed; a second version lies beside the first."""
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    places = [run.log_artifact("a", body=body, local_path="a.txt", artifact_path="s3://data/out").target_path for body in ("one", "two")]
    assert places[0] != places[1]
    assert all(place.startswith("s3://data/out/a/") for place in places)
    assert [run.get_dataitem(place).get() for place in places] == [b"one", b"two"]
    run.log_artifact("b", body="exact", target_path="s3://data/exact.txt", upload=True)
    assert run.get_dataitem("s3://data/exact.txt").get() == b"exact"
