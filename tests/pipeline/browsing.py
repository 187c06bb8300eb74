"""Pages in a headless Chromium, opened from a file; requests and console messages are recorded."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_DRAWN = """() => new Promise((done) => new PerformanceObserver((marks) => {
  if (marks.getEntriesByName("drawn").length) done();
}).observe({ type: "mark", buffered: true }))"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium; without it, the test is skipped, or fails in CI."""
    if not CHROMIUM and not os.environ.get("CI"):
        pytest.skip("no Chromium here; on Debian: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM or "chromium")
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, path: Path, width: int = 1280, scheme: Any = "light") -> Iterator[Page]:
    """Open a report and wait for its charts; there may be no request and no console message."""
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.goto(path.as_uri())
    page.evaluate(_DRAWN)
    yield page
    assert {url for url in asked if not url.startswith("data:")} == {path.as_uri()}
    assert said == []
    context.close()
