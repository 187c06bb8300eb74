"""Addresses as browsers read them: hosts by the URL standard's rules (https://url.spec.whatwg.org, "Host parsing")."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fetch.network import Network
from pipeline.html.prefilter import Blocklist
from pipeline.inspect.funnel import hosts_of
from pipeline.inspect.replay import address_key
from pipeline.shards.write import split_of
from pipeline.url import Failure, host, parse, parse_listed, request_url, resolve
from schemas.errors import PathError
from schemas.recipe import Fetch

# Every way to write a host, and the host: case, IDNA, escapes, credentials, ports, backslashes, dots, numbers.
SPELLINGS = {
    "host.example": [
        "http://host.example/a", "HTTP://HOST.Example/a", "http://host.example:80/a", "https://host.example:8443",
        "http://user:pw@host.example/a", "http://us%40er:p@w@host.example/a", "http:\\\\host.example\\a",
        "http:/host.example/a", "http:host.example/a", "  http://host.example/a\n", "ht\ntp://ho\tst.example/a",
        "http://host.example./a", "http://host.example../a", "http://host%2Eexample/a", "http://%68ost.example/a",
        "http://host。example/a", "http://host．example。/a", "http://ｈｏｓｔ.example/a", "http://ho\u00adst.example/a",
        "http://host.example?x", "http://host.example#x", "http://host.example\\@other.example/",
        "http://other.example@host.example/", "ftp://host.example/a",
    ],
    "xn--mnchen-3ya.example": [
        "http://münchen.example/", "http://MÜNCHEN.example/", "http://mu\u0308nchen.example/",
        "http://xn--mnchen-3ya.example/", "http://XN--MNCHEN-3YA.EXAMPLE/", "http://m%C3%BCnchen.example./",
    ],
    "xn--fa-hia.example": ["http://faß.example/", "http://FAẞ.example/", "http://xn--fa-hia.example"],
    "127.0.0.1": [
        "http://127.0.0.1/", "http://127.0.0.1./", "http://127.1/", "http://0x7f.1/", "http://0x7f.1../",
        "http://2130706433/", "http://0177.0.0.1/", "http://0x7F000001/", "http://127。0。0。1/", "http://①②⑦.0.0.1/",
        "http://%31%32%37.0.0.1/",
    ],
    "::1": ["http://[::1]/", "http://[0:0:0:0:0:0:0:1]:8080/", "http://u@[0::1]/"],
    "::ffff:a00:1": ["http://[::ffff:10.0.0.1]/", "http://[::FFFF:A00:1]/"],
    "": [
        "", "a", "/a", "//host.example/a", "http://", "http://./", "http://../", "http://ho st.example/", "http://[::1/",
        "http://256.1.1.1/", "http://1.2.3.4.5/", "http://a<b/", "mailto:a@host.example", "data:,http://host.example/",
        "file://host.example/a", "javascript:void(0)", "blob:https://host.example/1", "dns:host.example",
        "http://\ud800/",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("url", "name"), [(url, name) for name, urls in SPELLINGS.items() for url in urls], ids=repr)
def test_every_spelling_of_a_host_is_that_host(url: str, name: str) -> None:
    assert host(url) == name


def test_all_parsers_of_hosts_agree() -> None:
    for name, urls in SPELLINGS.items():
        urls = [url for url in urls if not url.startswith("ftp:") and "\ud800" not in url]
        assert set(hosts_of(pa.array(urls)).to_pylist()) == {name}
        assert len({split_of(host(url), 0.5) for url in urls}) == 1
        for url in urls:
            if name:
                assert parse(url).host == name
                assert f":{parse(url).port}" in str(address_key(url)).removeprefix(name) or parse(url).port in (80, 443)
            else:
                with pytest.raises(Failure, match="private_address"):
                    parse(url)
                assert address_key(url) is None
    assert hosts_of(pa.chunked_array([["http://A.example"], [None, "b"]])).to_pylist() == ["a.example", "", ""]


LETTERS = st.sampled_from("aAzZéß0179.-_%2E:@/\\?#[]。Ⅷ ①\t\u00ad")


@given(st.text(LETTERS | st.characters(), max_size=20), st.sampled_from(["http://", "https:", "ftp://", "", "a://"]))
def test_a_host_is_its_own_host_and_parsing_agrees(rest: str, scheme: str) -> None:
    name = host(scheme + rest)
    assert not name.endswith(".") and name == name.lower()
    if name:
        assert host(f"http://[{name}]/" if ":" in name else f"http://{name}/") == name
    if scheme != "ftp://" and not rest.lower().startswith("ftp:"):
        try:
            assert parse(scheme + rest).host == name
        except Failure:
            assert name == "" or "ws" in (scheme + rest).lower() or "ftp" in (scheme + rest).lower()


def test_parts_of_an_address() -> None:
    place = parse("HTTPS://u:p@Host.example.:8443/a b/../c%7e?q=é|#f")
    assert place.url == "https://host.example:8443/c%7e?q=%C3%A9|"
    assert (place.origin, place.path, place.query) == ("https://host.example:8443", "/c%7e", "q=%C3%A9|")
    assert (place.host, place.port) == ("host.example", 8443)
    v6 = parse("http://[::1]:80/")
    assert (v6.authority, v6.host, v6.port, v6.target) == ("[::1]", "::1", 80, "/")
    assert parse("../x", "http://h.example./a/b").url == "http://h.example/x"
    assert request_url("https://h.example/", has_proxy=True) == "http://h.example/"


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("//cdn.example/a.jpg", "https://cdn.example/a.jpg"),
        ("a b.jpg", "https://static.example/site/dir/a%20b.jpg"),
        ("https:\\\\cdn.example\\c.jpg", "https://cdn.example/c.jpg"),
        ("../up.jpg", "https://static.example/site/up.jpg"),
        ("?id=7", "https://static.example/site/dir/?id=7"),
        ("/p%20q/r.jpg#frag", "https://static.example/p%20q/r.jpg"),
        ("  /s.jpg\n", "https://static.example/s.jpg"),
        ("http://user:pw@cdn.example/t.jpg", "http://cdn.example/t.jpg"),
        ("https://CDN.Example:443/U.jpg", "https://cdn.example/U.jpg"),
        ("/фото.jpg", "https://static.example/%D1%84%D0%BE%D1%82%D0%BE.jpg"),
        ("https://münchen.example/v.jpg", "https://xn--mnchen-3ya.example/v.jpg"),
        ("/k.jpg?a=[1]|{2}", "https://static.example/k.jpg?a=[1]|{2}"),
        ("https://cdn.example./a.jpg", "https://cdn.example./a.jpg"),
        ("javascript:void(0)", None),
        ("about:blank", None),
        ("blob:https://x/1", None),
        ("data:image/gif;base64,AAAA", None),
        ("https://exa mple/z.jpg", None),
        ("\ud800", None),
    ],
)
def test_addresses_resolve_as_in_browsers(address: str, url: str | None) -> None:
    assert resolve(address, "https://static.example/site/dir/") == url


def test_without_a_base_only_absolute_urls_resolve() -> None:
    assert resolve("http://h.example", "") == "http://h.example/"
    assert resolve("a.jpg", "") is None and resolve("//h.example/a.jpg", "") is None


@pytest.mark.parametrize(
    ("entry", "name", "target"),
    [("Host.example.", "host.example", "/"), ("https://münchen.example/ä", "xn--mnchen-3ya.example", "/%C3%A4"),
     ("//host.example/a", "host.example", "/a"), ("::1", "::1", "/"),
     ("[::1]:80", "::1", "/"), ("127.1", "127.0.0.1", "/"),
     ("host.example/go?to=http://other.example", "host.example", "/go?to=http://other.example")],
)  # fmt: skip
def test_lists_of_hosts(entry: str, name: str, target: str) -> None:
    place = parse_listed(entry)
    assert (place.host, place.target) == (name, target)


def test_hosts_of_a_recipe_are_parsed_like_those_of_urls() -> None:
    assert Network(Fetch(allow_hosts=("München.example.", "::1", "127.1"))).allowed == {
        "xn--mnchen-3ya.example", "::1", "127.0.0.1"
    }  # fmt: skip


@pytest.mark.parametrize(
    "entry", ["münchen.example", "XN--MNCHEN-3YA.example", "https://münchen.example./", "*.münchen.example"]
)
def test_a_blocklist_matches_every_spelling(tmp_path, entry: str) -> None:
    (tmp_path / "list.txt").write_text(f"\ufeff{entry}\n127.1\nb.example/Ä/\n", "utf-8")
    blocked = Blocklist(str(tmp_path / "list.txt"))
    for url in [*SPELLINGS["xn--mnchen-3ya.example"], "http://www.münchen.example./x"]:
        assert blocked.match(url) == "xn--mnchen-3ya.example"
    assert all(blocked.match(url) == "127.0.0.1" for url in SPELLINGS["127.0.0.1"])
    assert blocked.match("http://b.example\\x/../ä/1") is None
    assert blocked.match("http://b.example\\x/../Ä/1") == "b.example/%C3%84/"
    assert not any(blocked.match(url) for url in SPELLINGS[""] + SPELLINGS["host.example"])


@pytest.mark.parametrize("line", ["two words.example", "http://", "a<b", "/only/a/path"])
def test_a_line_that_names_no_host_is_reported(tmp_path, line: str) -> None:
    (tmp_path / "list.txt").write_text(f"# hosts\na.example\n{line}\n")
    with pytest.raises(PathError, match=r"extract\.prefilter\.blocklist: .*line 3: .* is neither a host nor a URL; "):
        Blocklist(str(tmp_path / "list.txt"))
