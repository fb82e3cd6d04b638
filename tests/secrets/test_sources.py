"""Where secrets come from: inline, the environment, files, Kubernetes; and what is said when they do not come."""

from pathlib import Path
from typing import Any

import pytest

from tracker.errors import InvalidRequest, NotFound
from tracker.secrets.store import SecretsStore


def values(kind: str, source: Any, prefix: str = "") -> dict[str, str]:
    """What a source gives."""
    secrets = SecretsStore()
    secrets.add_source(kind, source, prefix)
    return {name: value for name, value in secrets.handed().items() if name}


def test_inline() -> None:
    """Inline secrets are a dict, or its literal text; values become text; names get the prefix."""
    assert values("inline", {"a": "x", "n": 5}) == {"a": "x", "n": "5"}
    assert values("inline", "{'a': 'x'}", "my-") == {"my-a": "x"}


def test_env(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of the environment come as text with commas or as a list; one that is not there is left out."""
    monkeypatch.setenv("H_A", "one")
    monkeypatch.setenv("H_B", "two")
    assert values("env", "H_A, H_B,H_NONE") == {"H_A": "one", "H_B": "two"}
    assert values("env", ["H_B"]) == {"H_B": "two"}


def test_file(tmp_path: Path) -> None:
    """A file has lines NAME=VALUE; comments, blanks, quotes and `export` are understood, and = may be in a value."""
    path = tmp_path / "secrets.env"
    path.write_text("# comment\n\n A = one=1 \nexport B='two words'\nC=\"#3\"\nD=\n")
    assert values("file", str(path)) == {"A": "one=1", "B": "two words", "C": "#3", "D": ""}
    assert values("file", path)["A"] == "one=1"


def test_kubernetes_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes' secrets are in the environment, under a prefix when there is one; an empty list means all that have it."""
    monkeypatch.setenv("H_A", "one")
    monkeypatch.setenv("MINE_B", "two")
    monkeypatch.setenv("MINE_C", "three")
    assert values("kubernetes", ["H_A", "H_NONE"]) == {"H_A": "one"}
    assert values("kubernetes", {"secrets": ["B"], "env_prefix": "MINE_"}, "k-") == {"k-B": "two"}
    assert values("kubernetes", {"secrets": [], "env_prefix": "MINE_"}) == {"B": "two", "C": "three"}


def test_kubernetes_files(tmp_path: Path) -> None:
    """Mounted secrets are files, as Kubernetes lays them: links through a directory with a dotted name."""
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..data").symlink_to("..2026")
    for name, text in (("user", "me\n"), ("password", "one two")):
        (tmp_path / "..2026" / name).write_text(text)
        (tmp_path / name).symlink_to(f"..data/{name}")
    assert values("kubernetes", {"secrets": [], "directory": str(tmp_path)}) == {"user": "me", "password": "one two"}
    assert values("kubernetes", {"secrets": ["user"], "directory": str(tmp_path)}) == {"user": "me"}


def test_a_list_of_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task's sources are dicts, or texts of kind=source; a later source wins; an empty value counts as missing."""
    (tmp_path / "f").write_text("A=file\nE=\n")
    monkeypatch.setenv("H_A", "environment")
    monkeypatch.setenv("E", "from outside")
    secrets = SecretsStore.from_list([{"kind": "inline", "source": {"A": "inline"}}, f"file={tmp_path / 'f'}", "env=H_A"])
    assert (secrets.get("A"), secrets.get("H_A"), secrets.get("E")) == ("file", "environment", "from outside")
    assert not SecretsStore.from_list(None).masking


@pytest.mark.parametrize(
    ("kind", "source", "error", "said"),
    [
        ("nonsense", "canary-value", InvalidRequest, "nonsense"),
        ("inline", "canary-value", InvalidRequest, "no literal"),
        ("inline", ["canary-value"], InvalidRequest, "a dict"),
        ("env", 5, InvalidRequest, "list of names"),
        ("env", ["", "x"], InvalidRequest, "list of names"),
        ("file", "/does/not/exist.env", NotFound, "/does/not/exist.env"),
        ("file", "/", InvalidRequest, "cannot be read"),
        ("file", "a\0b", InvalidRequest, "path"),
        ("kubernetes", {"secrets": ["../x"], "directory": "/tmp"}, InvalidRequest, "no name"),
        ("kubernetes", {"secrets": [], "directory": "/does/not/exist"}, NotFound, "/does/not/exist"),
        ("kubernetes", [], InvalidRequest, "name them"),
        ("kubernetes", {"secret": "x"}, InvalidRequest, "knows no 'secret'"),
        ("vault", ["x"], InvalidRequest, "VAULT_ADDR"),
        ("azure_vault", ["x"], InvalidRequest, "a dict"),
        ("azure_vault", {"name": "no/vault", "secrets": []}, InvalidRequest, "no/vault"),
    ],
)
def test_bad_sources(kind: str, source: Any, error: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that cannot be read is named by a clear error, which repeats no value."""
    monkeypatch.delenv("VAULT_ADDR", raising=False)
    with pytest.raises(error, match=said) as caught:
        values(kind, source)
    assert "canary-value" not in str(caught.value)


def test_bad_lines_are_named_without_their_text(tmp_path: Path) -> None:
    """A line that is no NAME=VALUE is named by its number; what it holds may be a secret. So may a file that is not text."""
    path = tmp_path / "f"
    path.write_text("A=1\ncanary-value\n")
    with pytest.raises(InvalidRequest, match="line 2 of") as caught:
        values("file", str(path))
    assert "canary" not in str(caught.value)
    path.write_bytes(b"A=\xff\xfe")
    with pytest.raises(InvalidRequest, match="not UTF-8"):
        values("file", str(path))


def test_bad_lists() -> None:
    """Sources that are no list, or no source, are refused."""
    for wrong in ("env=A", {"kind": "env"}, [5], [{"source": "A"}], ["nothing"]):
        with pytest.raises(InvalidRequest):
            SecretsStore.from_list(wrong)
