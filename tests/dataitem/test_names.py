"""Names of artifacts, and URLs as they are shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.dataitem.store_uri import StoreUri, parse_store_uri
from tracker.dataitem.urls import is_relative, joined, scheme_of, shown
from tracker.errors import InvalidRequest

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
PARTS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp"), exclude_characters="/\\"), min_size=1, max_size=8
)
KEYS = st.lists(PARTS.filter(lambda part: part not in (".", "..")), min_size=1, max_size=3).map("/".join)


@given(
    st.builds(
        StoreUri,
        kind=st.sampled_from(["artifacts", "datasets", "models"]),
        project=NAMES,
        key=KEYS,
        iteration=st.none() | st.integers(0, 10**9),
        tag=st.just("") | PARTS,
        uid=st.just("") | NAMES,
        digest=st.just("") | st.from_regex(r"[0-9a-f]{6,64}", fullmatch=True),
    )
)
def test_a_name_survives_its_text(uri: StoreUri) -> None:
    """Whatever key, iteration, tag, run and digest a name has, its text is parsed into the same."""
    assert parse_store_uri(str(uri)) == uri


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("store://artifacts/p/data", ("artifacts", "p", "data", None, "", "", "")),
        ("store://datasets/p/data#3", ("datasets", "p", "data", 3, "", "", "")),
        ("store://models/p/dir/m.pkl:v1", ("models", "p", "dir/m.pkl", None, "v1", "", "")),
        ("store://artifacts/p/data#0:best@abc", ("artifacts", "p", "data", 0, "best", "abc", "")),
        ("store://artifacts/p/data@abc^0123abcd", ("artifacts", "p", "data", None, "", "abc", "0123abcd")),
    ],
)
def test_a_name_has_parts(text: str, parts: tuple[object, ...]) -> None:
    """Every form of the grammar means what it says."""
    uri = parse_store_uri(text)
    assert (uri.kind, uri.project, uri.key, uri.iteration, uri.tag, uri.uid, uri.digest) == parts


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("store://", "kind"),
        ("store://functions/p/f", "functions"),
        ("store://artifacts/p", "no key"),
        ("store://artifacts//k", "no project"),
        ("store://artifacts/p/../k", "key"),
        ("store://artifacts/p/a%2f..%2fb", "key"),
        ("store://artifacts/p/k%00", "key"),
        ("store://artifacts/p/k#x", "iteration"),
        ("store://artifacts/p/k:", "tag"),
        ("store://artifacts/p/k@", "uid"),
        ("store://artifacts/p/k^zz", "digest"),
        ("s3://bucket/key", "store://"),
    ],
)
def test_a_wrong_name_says_what_is_wrong(text: str, word: str) -> None:
    """A name that is none is refused with the part that is wrong, as a fault of the URL."""
    with pytest.raises(InvalidRequest, match=word) as caught:
        parse_store_uri(text)
    assert caught.value.field == "url"


def test_passwords_and_signatures_are_not_shown() -> None:
    """A URL is shown without its password, and without the signature that makes it as good as one."""
    assert shown("ftp://me:canary@host/file") == "ftp://me:***@host/file"
    assert "canary" not in shown("https://b.s3.amazonaws.com/k?X-Amz-Signature=canary&X-Amz-Credential=canary&part=1")
    assert "part=1" in shown("https://b.s3.amazonaws.com/k?X-Amz-Signature=canary&part=1")
    assert "canary" not in shown("http://[broken?token=canary")
    for plain in ("data/file.csv", "s3://bucket/a b.csv", "https://host/x?part=1", "memory://a"):
        assert shown(plain) == plain


def test_relative_paths_begin_where_they_are_told() -> None:
    """Only a path that does not say from where is completed."""
    assert [is_relative(url) for url in ("a.csv", "a/b", "/a", "s3://b/a", "store://artifacts/p/k", "~/a")] == [True, True] + [False] * 4
    assert joined("s3://b/in/", "a.csv") == "s3://b/in/a.csv"
    assert (joined("/", "a"), joined("", "a"), joined("in", "a")) == ("/a", "a", "in/a")
    assert (scheme_of("S3://b/k"), scheme_of("a/b"), scheme_of("zip://x::s3://y")) == ("s3", "file", "zip")
