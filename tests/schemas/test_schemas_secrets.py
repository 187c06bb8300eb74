"""Credentials are masked in addresses, settings and headers, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.display import MASK, masked_keys, redact, redact_address, redacted

HIDDEN = [
    "http://user:s3cret@127.0.0.1:3128",
    "http://s3cret@host/x.warc.gz",
    "fetch.proxy=http://user:s3#cr?et@127.0.0.1:8",
    "fetch.proxy=user:s3cret@proxy.example:3128",
    "ftp://user:p@s3cret@host/a",
    "s3://KEY:s3cret@bucket/x.warc.gz",
    "abfss://account:s3cret@container/x",
    "https://b.s3.amazonaws.com/a.warc.gz?X-Amz-Algorithm=A&X-Amz-Credential=s3cret%2F2&X-Amz-Signature=s3cret&x=1",
    "https://b.s3.amazonaws.com/a?AWSAccessKeyId=s3cret&Expires=1&Signature=s3cret%3D",
    "https://a.blob.core.windows.net/c/a.warc.gz?sv=2022&se=2030&sig=s3cret%3D&sp=r",
    "https://storage.googleapis.com/b/a?X-Goog-Signature=s3cret",
    "https://d.cloudfront.net/a?Policy=s3cret&Signature=s3cret&Key-Pair-Id=s3cret",
    "https://host/a?access_token=s3cret#part",
    "weft submit --conf spark.hadoop.fs.s3a.secret.key=s3cret --conf spark.hadoop.fs.s3a.access.key=s3cret",
    "Proxy-Authorization: Basic s3cret",
    "{'Authorization': 'Bearer s3cret', 'Accept': '*'}",
    "cannot open 'https://user:s3cret@host/a': [Errno 111] http://user:s3cret@host/b",
    "password=s3cret",
]
SHOWN = [
    "max_tokens=64 tokenizer=out/tokenizer data.tokens_per_step=4096",
    "/data/token=5/secret=x/a.warc.gz",
    "https://host/get?key=a.warc.gz&page=2",
    "abfss://container@account.dfs.core.windows.net/path",
    "mailto:someone@host.example",
    "https://host.example/@someone/12:30",
    "extract: 12 pages, 3 rejected",
]


@pytest.mark.parametrize("text", HIDDEN)
def test_credentials_are_masked(text: str) -> None:
    assert "s3" not in redact(text).replace("s3://", "").replace("fs.s3a", "").replace(".s3.", "")
    assert MASK in redact(text) and redact(redact(text)) == redact(text)


@pytest.mark.parametrize("text", SHOWN)
def test_text_without_credentials_is_unchanged(text: str) -> None:
    assert redact(text) == text


@given(st.text())
def test_redacting_twice_changes_nothing(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@given(st.text(alphabet="user:@/?#=&sig;http ", max_size=60))
def test_odd_addresses_are_redacted_once(text: str) -> None:
    assert redact(redact(text)) == redact(text)


def test_an_archive_has_the_same_name_with_another_signature() -> None:
    signed = "https://bucket.example/a.warc.gz?X-Amz-Date={}&X-Amz-Signature={}"
    assert redact_address(signed.format(1, "aa")) == redact_address(signed.format(1, "bb")) != signed.format(1, "aa")
    assert redact_address("/data/a?b=c/x.warc.gz") == "/data/a?b=c/x.warc.gz"


def test_nested_values() -> None:
    recipe = {"fetch": {"proxy": "http://u:p@h:1", "hosts": ("a", "http://u@h"), "threads": 3}, "x": None}
    found = redacted(recipe)
    assert found == {"fetch": {"proxy": "http://***@h:1", "hosts": ["a", "http://***@h"], "threads": 3}, "x": None}
    assert (masked_keys(found), masked_keys(recipe)) == (["fetch.proxy", "fetch.hosts"], [])


@pytest.mark.parametrize("text", ["a=" * 50_000, "://" * 30_000, "a:" * 50_000, "secret" * 20_000, "?sig" * 25_000,
                                  "authorization" * 8_000, "u:p@h:" * 20_000, "-." * 50_000])  # fmt: skip
def test_redaction_takes_linear_time(text: str) -> None:
    """Quadratic matching would take minutes, and exceed the time limit."""
    redact(text)
