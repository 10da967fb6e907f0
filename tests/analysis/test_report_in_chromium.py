"""What a reader does with a report, done in headless Chromium: look, search, narrow, sort, open, step on."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from analysis import figures
from analysis.changes import changes
from analysis.report import write_report
from storage.dataset.reader import open_dataset
from tests.analysis.browser import cards, chromium, opened
from tests.analysis.standin import InMemoryDataset
from tests.analysis.versions import three_versions

HOSTILE = "</script><script>window.hacked = alert(1)</script><img src=x onerror='window.hacked = alert(2)'> ball"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def dataset() -> InMemoryDataset:
    return InMemoryDataset(Path("shapes"), 40)


@pytest.fixture(scope="module")
def index(dataset: InMemoryDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(dataset, tmp_path_factory.mktemp("report") / "report")


@pytest.fixture
def page(browser: Any, index: Path) -> Iterator[Any]:
    with opened(browser, index) as found:
        yield found


def shown(page: Any, expected: "pd.Series[bool]") -> None:
    """The gallery shows the samples that are expected, and says how many."""
    assert page.inner_text("#shown") == f"{int(expected.sum())} of {len(expected)}"
    assert cards(page) == expected.index[expected].tolist()


def test_search_and_filters_leave_the_samples_that_fit(page: Any, dataset: InMemoryDataset) -> None:
    frame = dataset.frame()
    shown(page, frame["status"] != "")
    category, reason = frame.loc[4, "category"], frame.loc[4, "reason"]
    page.fill("#words", f"{category.upper()}  a")
    shown(page, (frame["category"] + " " + frame["prompt"]).str.contains(category))
    page.click("#clear")
    page.select_option("#status", "rejected")
    shown(page, frame["status"] == "rejected")
    page.select_option("#reason", reason)
    shown(page, frame["reason"] == reason)
    page.select_option("#category", category)
    shown(page, (frame["reason"] == reason) & (frame["category"] == category))
    page.click("#clear")
    page.click("#ranges summary")
    page.fill("[data-score=uncertainty] >> nth=0", "0.2")
    page.fill("[data-score=uncertainty] >> nth=1", "0.4")
    page.fill("[data-score=clip_score] >> nth=0", "0.85")
    shown(page, frame["uncertainty"].between(0.2, 0.4) & (frame["clip_score"] >= 0.85))
    page.fill("[data-score=clip_score] >> nth=0", "2")
    assert cards(page) == [] and page.is_visible("#nothing")
    page.click("#clear")
    shown(page, frame["status"] != "")


def test_counts_and_tables_lead_to_their_samples(page: Any, dataset: InMemoryDataset) -> None:
    frame = dataset.frame()
    page.click(".counts [data-status=failed]")
    shown(page, frame["status"] == "failed")
    page.click("text=Classes and reasons")
    assert not page.is_visible("#gallery")
    category = frame.loc[0, "category"]
    page.click(f"[data-category='{category}']")
    shown(page, frame["category"] == category)


@pytest.mark.parametrize("order, ascending", [("clip_score", True), ("-area", False)])
def test_order_is_the_scores_and_those_without_come_last(
    page: Any, dataset: InMemoryDataset, order: str, ascending: bool
) -> None:
    page.select_option("#order", order)
    rounded = dataset.frame()[order.removeprefix("-")].map(lambda value: float(f"{value:.5g}"))
    assert cards(page) == rounded.sort_values(ascending=ascending, kind="stable").index.tolist()


def test_detail_shows_the_samples_own_pictures_and_facts(page: Any, dataset: InMemoryDataset) -> None:
    page.click("[data-index='7']")
    assert page.inner_text(".about .prompt") == dataset[7].prompt
    assert page.inner_text("#detail header strong") == dataset[7].category
    facts = page.inner_text("#detail .facts")
    assert all(text in facts for text in ("index\n7", "seed\n3", "version\nv1", "maskmill\n0.1.0", "config digest\n"))
    page.wait_for_timeout(300)
    names = page.eval_on_selector_all(".tile", "tiles => tiles.map(tile => tile.innerText)")
    assert names == ["overlay", "image", "mask", "A_c", "r"]
    expected = {(i, name): tile for i in (6, 7, 8) for name, tile in tiles(dataset, i).items()}
    for at, name in enumerate(names):
        seen = np.asarray(Image.open(io.BytesIO(page.locator(".tile").nth(at).screenshot())).convert("RGB"))
        difference = {key: np.abs(small(seen) - small(tile)).mean() for key, tile in expected.items()}
        assert min(difference, key=difference.__getitem__) == (7, name)


def tiles(dataset: InMemoryDataset, i: int) -> dict[str, np.ndarray]:
    maps = [dataset.group[name][i] for name in ("class_map", "refined")]
    drawn = figures.tiles(dataset[i].image, dataset[i].mask, 128, maps)
    return dict(zip(("image", "mask", "overlay", "A_c", "r"), drawn, strict=True))


def small(picture: np.ndarray) -> np.ndarray:
    """The upper part, which no label covers, at 16x12."""
    upper = Image.fromarray(picture[: picture.shape[0] * 3 // 4])
    return np.asarray(upper.resize((16, 12), Image.Resampling.BOX), dtype=float)


def test_a_tile_is_enlarged_and_stays_so_from_sample_to_sample(page: Any) -> None:
    page.click("[data-index='0']")
    page.click(".tile >> text=A_c")
    page.keyboard.press("ArrowRight")
    assert page.inner_text(".tile >> nth=0") == "A_c"


def test_keys_step_through_the_samples_that_fit_and_no_further(page: Any, dataset: InMemoryDataset) -> None:
    rejected = dataset.frame().query("status == 'rejected'").index.tolist()
    page.select_option("#status", "rejected")
    page.click(f"[data-index='{rejected[0]}']")
    seen = []
    for _ in range(len(rejected) + 2):
        seen.append(int(page.inner_text("#detail header .soft")[1:]))
        page.keyboard.press("ArrowRight")
    assert seen == rejected + rejected[-1:] * 2
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#detail header .soft") == f"#{rejected[-2]}"
    page.keyboard.press("Escape")
    assert not page.is_visible("#detail")
    # The browser announces the close in an event of its own, a moment after the dialogue has gone.
    page.wait_for_function("index => document.activeElement.dataset.index === index", arg=str(rejected[-2]))


def test_hostile_text_is_shown_and_runs_nothing(browser: Any, tmp_path: Path) -> None:
    categories = [HOSTILE] * 5 + ["ball"]
    hostile = InMemoryDataset(tmp_path, 6, prompt=HOSTILE, category=categories, reason=HOSTILE, status="rejected")
    with opened(browser, write_report(hostile, tmp_path / "report")) as page:
        page.select_option("#category", HOSTILE)
        page.select_option("#reason", HOSTILE)
        page.fill("#words", "<script>")
        assert cards(page) == list(range(5))
        page.click("[data-index='0']")
        assert page.inner_text(".about .prompt") == HOSTILE
        assert page.evaluate("window.hacked") is None
        assert page.locator("img[src=x]").count() == 0


def test_thousands_of_samples_are_scrolled_with_few_cards(browser: Any, tmp_path: Path) -> None:
    many = InMemoryDataset(tmp_path, 3)
    many._frame = pd.concat([many.frame()] * 2000, ignore_index=True).assign(status="planned", prompt="p" * 2000)
    with opened(browser, write_report(many, tmp_path / "report")) as page:
        assert cards(page)[0] == 0 and len(cards(page)) < 100
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.wait_for_selector("[data-index='5999']")
        assert len(cards(page)) < 100 and cards(page) == sorted(cards(page))
        page.click("[data-index='5998']")
        assert "Not sampled yet" in page.inner_text(".tiles")


def test_plots_are_drawn_and_a_bar_leads_to_the_samples_it_counts(page: Any, dataset: InMemoryDataset) -> None:
    assert page.evaluate("window.Plotly") is None  # not before they are looked at
    page.click(".tabs >> text=Statistics")
    page.wait_for_selector("#waiting", state="detached")
    titles = page.eval_on_selector_all(".plot h2", "all => all.map(each => each.innerText)")
    assert titles == page.evaluate("PLOTS.map(plot => plot.title)") and len(titles) == 10
    assert [title.split(":")[0] for title in titles[:3]] == ["Figure 3", "Figure 4", "Figure 5"]
    assert page.locator(".plot .main-svg").count() >= len(titles)
    table = page.inner_text("#plots table")
    assert "27.1\t2.96\t2.31" in table and "29.9\t2.78\t1.91" in table
    counts = page.evaluate("PLOTS[1].figure.data[0].y")
    at = int(np.argmax(counts))
    place = page.locator(".plot >> nth=1").locator(".bars .point path").nth(at).bounding_box()
    page.mouse.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    page.wait_for_selector("#gallery", state="visible")
    low, high = page.evaluate(f"PLOTS[1].figure.data[0].customdata[{at}]")
    kept = dataset.frame()["area"].where(dataset.frame()["status"] == "kept")
    assert set(kept.index[(kept > low * 1.001) & (kept < high * 0.999)]) <= set(cards(page))
    assert len(cards(page)) <= counts[at] + (dataset.frame()["status"] == "rejected").sum()


def test_two_versions_side_by_side(browser: Any, tmp_path: Path) -> None:
    three_versions(tmp_path / "d")
    index = write_report(open_dataset(tmp_path / "d"), tmp_path / "report", "v1")
    found = changes(open_dataset(tmp_path / "d"), "v1")
    with opened(browser, index, width=390) as page:
        page.click(".tabs >> text=Since v1")
        assert page.locator(".strip").count() == len(found.ious) > 3
        assert page.eval_on_selector_all(".strip img", "all => all.every(each => each.src.includes('/changes/'))")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.click(".strip >> nth=0")
        assert page.inner_text("#detail header .soft") == f"#{found.ious.index[0]}"
        assert "mask IoU with v1" in page.inner_text(".about .scores")
        page.keyboard.press("Escape")
        page.click(".tabs >> text=Samples")
        page.click("#more")
        page.select_option("#order", "mask IoU with v1")
        assert cards(page)[: len(found.ious)] == found.ious.index.tolist()


@pytest.mark.parametrize("count", [1, 3])
def test_datasets_with_little_in_them_open(browser: Any, tmp_path: Path, count: int) -> None:
    nothing = dict.fromkeys(("clip_score", "uncertainty", "area"), np.nan)
    poor = InMemoryDataset(tmp_path, 3, status="failed", reason="not finite", **nothing)
    poor._frame = poor.frame().head(count)
    with opened(browser, write_report(poor, tmp_path / "report"), width=390) as page:
        assert cards(page) == list(range(count))
        assert not page.is_visible("#ranges")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
