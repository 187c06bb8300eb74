"""The report's page in a real browser: what it shows, by which keys, and that no text of the web acts on it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import chromium, opened
from playwright.sync_api import Browser, Page, expect
from report_data import ADDRESSES, ATTACKS, report

from pipeline.inspect.report_page import FOLDER, SCRIPTS, STYLES, as_json, render
from schemas.display import percent

DATA = report(6)
PER_CORPUS = 6
CONTROLS = {"button", "link", "searchbox", "combobox", "slider", "radio", "DisclosureTriangle", "image"}
MAX_ELEMENTS = 10_000  # that a browser lays out when a report opens
CONTRAST = 4.5


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _written(tmp_path_factory, DATA)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _written(tmp_path_factory, report(len(ATTACKS), hostile=True))


@pytest.fixture
def page(browser: Browser, path: Path) -> Iterator[Page]:
    with opened(browser, path) as page:
        yield page


def _written(tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(data), "utf-8")
    return path


def test_json_cannot_leave_its_element() -> None:
    text = as_json({"texts": [*ATTACKS, "\udfff", "<"]})
    assert "<" not in text
    assert json.loads(text) == {"texts": [*ATTACKS, "\udfff", "<"]}
    text.encode()
    with pytest.raises(ValueError):
        as_json(float("nan"))


def test_every_script_and_style_is_in_the_page_after_what_it_needs() -> None:
    assert {f"{name}.js" for name in SCRIPTS} == {p.name for p in (FOLDER / "scripts").iterdir()}
    assert {f"{name}.css" for name in STYLES} == {p.name for p in (FOLDER / "styles").iterdir()}
    exported: dict[str, set[str]] = {}
    for name in SCRIPTS:
        text = (FOLDER / "scripts" / f"{name}.js").read_text("utf-8")
        exported[name] = set(re.findall(r"^export (?:const|function\*?) (\w+)", text, re.M))
    for name in SCRIPTS:
        text = (FOLDER / "scripts" / f"{name}.js").read_text("utf-8")
        for names, source in re.findall(r'^import \{ (.*) \} from "./(\w+).js";$', text, re.M):
            assert set(names.split(", ")) <= exported[source], name
        assert "innerHTML" not in text and "insertAdjacentHTML" not in text and "document.write" not in text


def test_warnings_stand_before_all_figures(page: Page) -> None:
    warnings = page.get_by_role("region", name="Warnings")
    assert warnings.locator("h2").inner_text() == "2 warnings"
    said = [[p.inner_text() for p in item.locator("p").all()] for item in warnings.locator("li").all()]
    assert said == [[f"{w['step']} {w['text']}", w["remedy"]] for w in DATA["warnings"]]
    below = page.locator("#totals").bounding_box()
    box = warnings.bounding_box()
    assert box and below and 0 < box["y"] < box["y"] + box["height"] <= below["y"]


def test_nearly_all_is_not_all_and_nearly_none_is_not_none(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cases = [
        (99_960, "99.9 %"),
        (99_999, "99.9 %"),
        (100_000, "100 %"),
        (1, "< 0.1 %"),
        (9_960, "10 %"),
        (99_400, "99.4 %"),
    ]
    rows = [
        {"step": f"s{n}", "things": "pages", "in": 100_000, "taken": n, "out": 100_000 - n, "before": 0, "rules": []}
        for n, _ in cases
    ]
    with opened(browser, _written(tmp_path_factory, {**DATA, "funnel": rows})) as page:
        shown = [row.locator("th, td").all_inner_texts()[4] for row in page.locator(".lane tbody tr").all()]
    assert shown == [words for _, words in cases] == [percent(n, 100_000) for n, _ in cases]


def test_the_funnel_tells_every_step(page: Page) -> None:
    lanes = {lane.locator("h3").inner_text(): lane.locator("tbody tr") for lane in page.locator(".lane").all()}
    assert list(lanes) == ["Pages", "Captions", "Images"]
    rows = [row.locator("th, td").all_inner_texts() for row in lanes["Pages"].all()]
    assert [(r[0], r[2], r[3], r[4], r[5]) for r in rows] == [
        ("extract", "61,300", "13,090", "21 %", "48,210"),
        ("filter", "48,210", "17,400", "36 %", "30,810"),
        ("dedup", "30,810", "3,310", "11 %", "27,500"),
        ("assemble", "27,500", "5,623", "20 %", "21,877"),
    ]
    assert [r.locator("td").nth(1).inner_text() for r in lanes["Captions"].all()] == ["–"]


def test_a_rule_is_found_and_opens_with_its_examples(page: Page) -> None:
    page.get_by_label("Step").select_option("fetch")
    assert page.locator(".rule-name .code:visible").all_inner_texts() == ["TOO_SMALL", "HTTP_STATUS"]
    page.get_by_label("Rule or meaning").fill("SIDE below")
    assert page.locator("#rules [role=status]").inner_text() == "1 rule"
    summary = page.locator("#rules summary:visible")
    assert summary.locator(".number").all_text_contents() == [
        "dropped 20,700",
        "alone 20,700",
        "median 64",
        "threshold 150",
    ]
    summary.focus()
    page.keyboard.press("Enter")
    examples = page.locator("#rules .example:visible")
    expect(examples).to_have_count(4)
    assert examples.locator(".measured").first.inner_text() == "64 threshold 150"
    assert examples.locator("img").evaluate_all("all => all.map(i => i.naturalWidth)") == [240] * 4


def test_a_rule_in_the_funnel_leads_to_its_examples(page: Page) -> None:
    page.get_by_label("Step").select_option("fetch")
    page.locator("#funnel").get_by_role("link", name="BULLETS").click()
    expect(page.locator("#rules details[open] summary")).to_be_focused()
    assert page.locator("#rules details[open] .code").inner_text() == "BULLETS"


def test_charts_have_their_bars_and_their_figures(page: Page) -> None:
    assert page.locator("#spreads .chart svg").count() == len(DATA["spreads"])
    figure = page.locator("#spreads figure").first
    bins = DATA["spreads"][0]["bins"]
    assert figure.locator(".mark-rect path").count() == len(bins)
    assert figure.locator(".role-mark.mark-rule line").count() == 1
    figure.locator("summary").click()
    expect(figure.locator("tbody tr")).to_have_count(len(bins))
    assert page.locator("#shards .mark-rect path").count() == len(DATA["shards"])
    figure.locator(".mark-rect path").nth(3).hover()
    assert page.locator(".tip").inner_text().replace("\n", " ") == "words 58.32 to 105 number 2,945"


def test_shares_and_clusters(page: Page) -> None:
    hosts = page.locator(".shares").filter(has_text="Hosts")
    assert hosts.locator(":scope > ol > li").count() == 10
    assert hosts.locator(".others").inner_text().split() == ["1,405", "others", "22,560", "73", "%"]
    hosts.locator("summary").click()
    expect(hosts.locator("li")).to_have_count(15)
    clusters = page.locator("#clusters details")
    assert clusters.count() == 20
    page.get_by_role("button", name="Show 5 more").click()
    expect(clusters).to_have_count(25)
    expect(clusters.nth(20)).to_be_focused()
    clusters.first.locator("summary").click()
    expect(clusters.first.locator(".note")).to_have_text(["kept", "dropped", "dropped", "dropped"])
    assert "56 others" in clusters.first.inner_text()


@pytest.mark.parametrize(
    ("field", "value", "left"),
    [
        ("corpus", "caption", PER_CORPUS),
        ("language", "de", 3 * PER_CORPUS // 2),
        ("host", "HOST3", 3),
        ("text", "paragraph 2 of text 4", 1),
        ("text", "a weaver at loom 5", 1),
        ("score", "0.23", 2 * 3),
    ],
)
def test_samples_are_filtered(page: Page, field: str, value: str, left: int) -> None:
    place = page.locator("#place")
    assert place.inner_text() == f"1 of {3 * PER_CORPUS}"
    control = page.locator(f"#sample-filters [name={field}]")
    if control.evaluate("c => c.localName") == "select":
        control.select_option(value)
    else:
        control.fill(value)
    assert place.inner_text() == f"1 of {left}"
    expect(page.locator("#hits button")).to_have_count(left)
    control.evaluate("c => c.form.reset()")
    page.locator("#sample-filters [name=text]").fill("nothing says this")
    assert place.inner_text() == "No sample matches"


def test_a_document_is_drawn_in_its_order(page: Page) -> None:
    kinds = page.locator(".blocks > *").evaluate_all("all => all.map(b => b.localName)")
    assert kinds == ["p", "figure", "p", "p", "figure"]
    assert page.locator(".blocks p.prose").first.inner_text().endswith("Paragraph 1 of interleaved 0.")
    told = page.locator(".blocks figcaption").first.inner_text()
    assert "A loom with 0 shafts" in told and "CLIP 0.200" in told and "640 × 480" in told
    page.get_by_label("Corpus").select_option("caption")
    assert page.locator(".blocks .caption").inner_text() == "A weaver at loom 0"
    page.get_by_label("Corpus").select_option("text")
    expect(page.locator(".blocks p.prose")).to_have_count(3)


def test_a_link_opens_its_sample(browser: Browser, path: Path, page: Page) -> None:
    page.locator("#sample-filters [name=text]").fill("part 2")
    link = page.locator(".sample .code a").get_attribute("href")
    page.locator("#sample-filters [name=text]").fill("part 4")
    page.evaluate(f"location.hash = '{link}'")
    expect(page.locator("#place")).to_have_text("3 of 18")
    assert page.locator(".sample h3").inner_text() == "On the loom, part 2"
    with browser.new_context() as context:
        pasted = context.new_page()
        pasted.goto(f"{path.as_uri()}{link}")
        expect(pasted.locator("#place")).to_have_text("3 of 18")
        expect(pasted.locator(".browser")).to_be_in_viewport()


def test_keys_turn_the_pages(page: Page) -> None:
    place = page.locator("#place")
    page.keyboard.press("ArrowRight")
    assert place.inner_text() == "1 of 18"  # the samples are not in sight
    page.locator("#reader").scroll_into_view_if_needed()
    for key, at in [("ArrowRight", 2), ("ArrowRight", 3), ("ArrowLeft", 2)]:
        page.keyboard.press(key)
        assert place.inner_text() == f"{at} of 18"
    page.locator(".blocks > *").last.evaluate("last => last.scrollIntoView({ block: 'start' })")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".sample h3")).to_be_in_viewport()
    page.keyboard.press("ArrowRight")
    page.locator("#sample-filters [name=text]").focus()
    page.keyboard.press("ArrowRight")
    assert place.inner_text() == "2 of 18"
    page.locator("#hits button[aria-current]").focus()
    page.keyboard.press("ArrowDown")
    assert place.inner_text() == "3 of 18"
    expect(page.locator("#hits li:nth-child(3) button")).to_be_focused()
    page.get_by_role("button", name="Previous").click()
    page.get_by_role("button", name="Previous").press("Enter")
    assert place.inner_text() == "1 of 18"
    expect(page.get_by_role("button", name="Previous")).to_be_disabled()


def test_the_keyboard_reaches_everything(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    wanted = page.locator("a[href]:visible, summary:visible, select:visible, input:visible").count()
    reached = set()
    for _ in range(wanted + 60):
        page.keyboard.press("Tab")
        seen = page.evaluate(
            "() => { const e = document.activeElement; e.dataset.at ??= String(Math.random());"
            "return [e.dataset.at, getComputedStyle(e).outlineStyle, e.closest('.theme') ? 'theme' : e.id] }"
        )
        reached.add((seen[0], seen[1] != "none" or seen[2] in ("theme", "main", "")))
    assert all(visible for _, visible in reached)
    unreached = page.locator("a[href]:visible, summary:visible, select:visible").evaluate_all(
        "all => all.filter(e => !e.dataset.at).map(e => e.outerHTML.slice(0, 80))"
    )
    assert unreached == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_are_chosen_and_can_be_read(browser: Browser, path: Path, scheme: str) -> None:
    with opened(browser, path, scheme=scheme) as page:
        _open_all(page)
        assert page.evaluate(_LEAST_CONTRAST)[0] >= CONTRAST, page.evaluate(_LEAST_CONTRAST)
        paper = "getComputedStyle(document.body).backgroundColor"
        system = page.evaluate(paper)
        other = {"light": "Dark", "dark": "Light"}[scheme]
        page.get_by_text(other, exact=True).click()
        assert page.evaluate(paper) != system
        assert page.evaluate(_LEAST_CONTRAST)[0] >= CONTRAST
        page.get_by_text("Auto", exact=True).click()
        assert page.evaluate(paper) == system


def test_every_control_has_a_name(page: Page) -> None:
    _open_all(page)
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    told = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in tree if not n["ignored"]]
    controls = [(role, name) for role, name in told if role in CONTROLS]
    assert {role for role, _ in controls} == CONTROLS
    assert [role for role, name in controls if not name.strip()] == []
    assert {"main", "navigation"} <= {role for role, _ in told}


@pytest.mark.parametrize("attacked", [False, True])
def test_a_phone_needs_no_scrolling_sideways(browser: Browser, path: Path, hostile: Path, attacked: bool) -> None:
    with opened(browser, hostile if attacked else path, width=360) as page:
        _open_all(page)
        for _ in range(len(ATTACKS)):
            assert page.evaluate("document.documentElement.scrollWidth") == 360
            page.locator("#next").click()


def test_texts_of_the_web_stay_texts(browser: Browser, hostile: Path) -> None:
    with opened(browser, hostile) as page:
        _open_all(page)
        shown = page.locator("main").evaluate("m => m.textContent")
        for _ in range(3 * len(ATTACKS) - 1):
            page.locator("#next").click()
            shown += page.locator("#reader").evaluate("m => m.textContent")
        for attack in ATTACKS:
            assert attack.replace("\ud800", "\ufffd") in shown.replace("\ud800", "\ufffd")
        assert page.evaluate("window.attacked") is None
        assert page.locator("main script, main [onerror], main [onmouseover], main b").count() == 0
        hrefs = page.locator("main a").evaluate_all("all => all.map(a => [a.protocol, a.rel, a.textContent, a.hash])")
        outside = [(protocol, rel) for protocol, rel, _, fragment in hrefs if protocol != "file:" or not fragment]
        assert set(outside) <= {(p, "noopener noreferrer nofollow") for p in ("http:", "https:")}
        assert len(outside) > 0
        assert not any("\u202e" in text for _, _, text, _ in hrefs)
        sources = page.locator("img").evaluate_all("all => all.map(i => i.src.slice(0, 23))")
        assert set(sources) == {"data:image/jpeg;base64,"}
        plain = page.locator("span.address").all_text_contents()
        assert {a for a in ADDRESSES if a and not a.startswith("http")} >= set(plain) > set()


def test_no_request_could_leave(browser: Browser, path: Path) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(path.as_uri())
        refused = page.evaluate(
            "async () => { const no = [];"
            "addEventListener('securitypolicyviolation', e => no.push(e.effectiveDirective));"
            "await fetch('https://example.com/').catch(() => 0);"
            "const i = new Image(); i.src = 'https://example.com/x.gif'; document.body.append(i);"
            "try { document.body.innerHTML = '<p>'; } catch { no.push('html'); }"
            "await new Promise(r => setTimeout(r, 200)); return no; }"
        )
        assert {"connect-src", "img-src", "html"} <= set(refused)


def test_shards_alone_have_a_report_too(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> None:
    nothing = {"warnings": [], "recipe": {}, "steps": [], "funnel": [], "clusters": [], "samples": [], "thumbs": {}}
    totals = {"archives": -1, "pages": -1, "images": 9, "samples": 1, "bytes": 5_000, "seconds": 0}
    with opened(browser, _written(tmp_path_factory, {**DATA, **nothing, "totals": totals})) as page:
        assert page.locator("#lede").inner_text() == "1 sample in shards."
        assert not page.locator("#warnings").is_visible()
        assert page.locator("#totals dt").all_inner_texts() == ["Images", "Samples", "In shards"]
        assert page.locator("#contents").inner_text().split() == ["Overview", "Distributions", "Shares", "Shards"]


def test_paper_gets_the_figures(browser: Browser, path: Path) -> None:
    with opened(browser, path, scheme="dark") as page:
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        for unseen in ("nav", "form", "#hits", ".pager"):
            assert page.locator(unseen).first.is_hidden()
        for seen in ("#totals", ".lane table", "#spreads svg", "article.sample"):
            assert page.locator(seen).first.is_visible()
        assert page.pdf().startswith(b"%PDF")


def test_a_large_report_opens_at_once(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = _written(tmp_path_factory, report(100, noisy=True))
    assert 9e6 < path.stat().st_size < 14e6
    with opened(browser, path) as page:
        assert page.locator("#place").inner_text() == "1 of 300"
        usable, drawn = (
            page.evaluate(f"performance.getEntriesByName('{mark}')[0].startTime") for mark in ("usable", "drawn")
        )
        assert usable < drawn, "charts wait"
        num_elements = page.evaluate("document.querySelectorAll(':not(svg, svg *)').length")
    assert num_elements < MAX_ELEMENTS, "what is closed is not made yet"


def _open_all(page: Page) -> None:
    page.locator("details").evaluate_all("all => all.forEach(d => { d.open = true; })")
    page.wait_for_timeout(100)


_LEAST_CONTRAST = """() => {
  const channel = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const under = (e) => {
    for (; e; e = e.parentElement) {
      const colour = numbers(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  let least = [Infinity, ''];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !e.checkVisibility() || e.closest('script, noscript, :disabled')) continue;
    const style = getComputedStyle(e);
    const [a, b] = [light(numbers(e.ownerSVGElement ? style.fill : style.color)), light(under(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < least[0]) least = [ratio, walk.currentNode.data.slice(0, 40)];
  }
  return least;
}"""
