"""Reports in headless Chromium, as a reader opens them: from the disk, by their index.html."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 60_000  # milliseconds: the machine may be busy
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextmanager
def chromium() -> Iterator[Any]:
    """A running Chromium of this machine; skips the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no Chromium on this machine: none of {', '.join(NAMES)} is on the PATH")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"], timeout=PATIENCE)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, index: Path, width: int = 1280) -> Iterator[Any]:
    """The page, ready, on a screen with room for 40 cards.

    What it logs as an error, asks the network for or opens as an alert fails the test.
    """
    context = browser.new_context(viewport={"width": width, "height": 2400})
    page, trouble = context.new_page(), []
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda message: trouble.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("dialog", lambda dialog: (trouble.append(f"alert {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: None if local(request.url) else trouble.append(request.url))
    page.goto(index.as_uri())
    page.wait_for_function("document.getElementById('shown').textContent !== ''")
    yield page
    context.close()
    assert trouble == []


def local(url: str) -> bool:
    return url.startswith(("file:", "data:", "blob:"))


def cards(page: Any) -> list[int]:
    """The samples whose cards there are, in their order."""
    return page.eval_on_selector_all(".card", "found => found.map(card => Number(card.dataset.index))")
