"""What was recorded can be seen from the terminal, on a directory and on a server alike."""

import json
from typing import Any

from tests.cli.conftest import Tracker
from tests.cli.sample import CONSOLE

RUN = "digits/aaaa1111"


def rows(output: str) -> list[Any]:
    """Lines of JSON."""
    return [json.loads(line) for line in output.splitlines()]


def test_runs_are_found_by_what_they_did(run: Tracker, uri: str) -> None:
    """A filter over metrics and parameters lists the runs it holds for, as a table and as JSON, children included when asked."""
    assert RUN in run("runs", "--uri", uri).stdout
    found = rows(run("runs", "results.accuracy >= 0.95", "--iterations", "--uri", uri, "--json", "--order-by", "results.accuracy").stdout)
    assert [(one["uid"], one["iteration"]) for one in found] == [("aaaa1111", 3), ("aaaa1111", 2), ("aaaa1111", 0)] or len(found) == 3
    assert "no run satisfies" in run("runs", "params.nothing = 1", "--uri", uri).stderr
    assert "the first 1" in run("runs", "--limit", "1", "--uri", uri).stderr


def test_a_mistake_in_a_filter_is_pointed_at(run: Tracker, uri: str) -> None:
    """Search text with a mistake is answered with the place of the mistake, and exit code 2."""
    error = run("runs", "params.lr >", "--uri", uri, code=2).stderr
    assert "column" in error
    assert error.splitlines()[-1].strip() == "^"


def test_one_run_on_one_page(run: Tracker, uri: str) -> None:
    """State, parameters, results, metrics, iterations with the best one marked, and artifacts."""
    page = run("show", RUN, "--uri", uri).stdout
    for part in ("✓ completed", "took 1m 05s", "seed", "vision", "strange", "★ 2", "model", "6390162f391e"):
        assert part in page, part
    assert rows(run("show", RUN, "--uri", uri, "--json").stdout)[0]["run"]["parameters"]["seed"] == 8


def test_the_beginning_of_a_uid_or_a_name_will_do(run: Tracker, uri: str) -> None:
    """People type four characters of a uid, or the run's name."""
    assert RUN in run("show", "digits/aa", "--uri", uri).stdout
    assert RUN in run("show", "digits/train", "--uri", uri).stdout


def test_a_run_that_is_not_there_is_named_with_what_to_do(run: Tracker, uri: str) -> None:
    """An unknown run or project is named, and the command that lists what there is."""
    for command in (["show"], ["tail"], ["replay"], ["history"], ["chart"]):
        words = [*command, "digits/nope", *(["loss"] if command == ["chart"] else []), "--uri", uri]
        error = run(*words, code=2).stderr
        assert "no run nope in project digits" in error, command
        assert "tracker runs --project digits" in error
    assert "no project nope" in run("show", "nope/x", "--uri", uri, code=2).stderr
    assert "PROJECT/UID" in run("show", "nope", "--uri", uri, code=2).output
    assert "letters, digits" in run("show", "a/../b", "--uri", uri, code=2).output


def test_a_metric_can_be_seen(run: Tracker, uri: str) -> None:
    """A series of 1,000 points is drawn in the width of a terminal; one that is not there is answered with those that are."""
    drawn = run("chart", RUN, "loss", "--iteration", "2", "--uri", uri).stdout
    assert "loss of digits/aaaa1111#2" in drawn
    assert "⠉" in drawn or "⣀" in drawn
    assert "these have it: 1, 2, 3; choose with --iteration 3" in run("chart", RUN, "loss", "--uri", uri, code=2).stderr
    assert "the run itself has it" in run("chart", RUN, "strange", "--iteration", "2", "--uri", uri, code=2).stderr
    assert "metrics of this run: loss, strange" in run("chart", RUN, "los", "--uri", uri, code=2).stderr


def test_a_pipe_gets_the_console_byte_for_byte(run: Tracker, uri: str) -> None:
    """What a job printed comes out as it was printed, escapes, invalid UTF-8 and all, from any byte on."""
    assert run("tail", RUN, "--uri", uri).stdout_bytes == CONSOLE
    assert run("tail", RUN, "--offset", "-5", "--uri", uri).stdout_bytes == CONSOLE[-5:]
    assert run("tail", RUN, "--offset", "3", "--follow", "--uri", uri).stdout_bytes == CONSOLE[3:]
    assert "the console has 38 bytes" in run("tail", RUN, "--offset", "100000", "--uri", uri, code=1).stderr


def test_events_can_be_chosen(run: Tracker, uri: str) -> None:
    """The feed by run, type, offset and number, as lines for people or JSON."""
    found = rows(run("events", "--run", RUN, "--types", "result.logged", "--json", "--uri", uri).stdout)
    assert [one["event"]["value"] for one in found] == [0.9, 0.97, 0.95]
    lines = run("events", "--after", "3012", "--limit", "2", "--uri", uri).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["3013", "3014"]
    assert "iteration 2 is the best" in lines[0]


def test_a_run_is_told_as_it_happened(run: Tracker, uri: str) -> None:
    """The story in order, with the time since its beginning; of one iteration, cut to some events, or as JSON."""
    story = run("replay", RUN, "--types", "attempt.started,state.changed,result.logged", "--uri", uri).stdout
    assert story.index("started on box 41") < story.index("result accuracy = 0.9") < story.index("+1m 05s")
    assert len(run("replay", RUN, "--iteration", "2", "--limit", "4", "--uri", uri).stdout.splitlines()) == 5
    assert len(rows(run("replay", RUN, "--limit", "4", "--json", "--uri", uri).stdout)) == 4


def test_any_past_moment_can_be_shown(run: Tracker, uri: str) -> None:
    """`--at` shows the state then: before the correction of a parameter, and while the run ran."""
    then = run("replay", RUN, "--at", "3013", "--uri", uri).stdout
    assert "▶ running" in then
    assert rows(run("replay", RUN, "--at", "3013", "--json", "--uri", uri).stdout)[0]["parameters"]["seed"] == 7
    assert (
        "digits/bbbb2222 was not there after offset 3: `tracker replay"
        in run("replay", "digits/bbbb", "--at", "3", "--uri", uri, code=2).stderr
    )
    assert "the log ends at offset 3021" in run("replay", RUN, "--at", "5000", "--uri", uri, code=1).stderr
    assert "give an offset" in run("replay", RUN, "--at", "someday", "--uri", uri, code=2).output


def test_who_changed_what(run: Tracker, uri: str) -> None:
    """Each change of a field with both values and who made it."""
    (change,) = [one for one in rows(run("history", RUN, "--field", "parameters.seed", "--json", "--uri", uri).stdout) if "before" in one]
    assert (change["before"], change["after"], change["by"], change["offset"]) == (7, 8, "ada", 3014)
    assert "7 → 8" in run("history", RUN, "--field", "parameters.seed", "--uri", uri).stdout
    assert "ever changed" in run("history", RUN, "--field", "nothing", "--uri", uri, code=1).stderr


def test_two_moments_and_two_runs_compare(run: Tracker, uri: str) -> None:
    """The exit code says whether there is a difference, the table which."""
    page = run("diff", RUN, "--from", "3013", "--uri", uri, code=1).stdout
    assert "parameters.seed" in page
    assert "labels.team" not in page
    assert "no difference" in run("diff", RUN, "--from", "3018", "--to", "3018", "--uri", uri).stdout
    assert "labels.team" in run("diff", RUN, "digits/bbbb2222", "--uri", uri, code=1).stdout
    assert "give a second run" in run("diff", RUN, "--uri", uri, code=2).output


def test_info_says_where_and_how_far(run: Tracker, uri: str) -> None:
    """How long the log is, and how far each projection."""
    found = rows(run("info", "--uri", uri, "--json").stdout)[0]
    assert found["offset"] == 3021
    assert run("info", "--uri", uri).stdout


def test_a_place_without_data_is_not_an_empty_tracker(run: Tracker, tmp_path: Any) -> None:
    """A mistyped directory is told as such, never made or shown as empty; a server that is not there is named."""
    for command in (["runs"], ["events"], ["verify"], ["info"], ["export", "-o", str(tmp_path / "x")], ["rebuild"], ["show", RUN]):
        assert "does not exist" in run(*command, "--uri", str(tmp_path / "nothing"), code=2).stderr
    assert not list(tmp_path.iterdir())
    assert "does not answer" in run("runs", "--uri", "http://127.0.0.1:1", code=1).stderr
    assert "scheme" in run("runs", "--uri", "ftp://x", code=2).stderr
