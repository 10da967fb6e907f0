"""A report is complete, self-contained, harmless whatever the prompts say, and replaced as a whole."""

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.report import MARKDOWN_LIMIT, choose, escape, thumbnails_markdown, write_report
from storage.dataset import open_dataset
from storage.shards import write_shard
from storage.writer import DatasetWriter
from tests.analysis.standin import InMemoryDataset

HOSTILE = """</span><script>alert(1)</script><img src=x onerror="alert(2)"> "a' {{ 7 * 7 }} ball"""


class Page(HTMLParser):
    """Tags with their attributes, and the files and addresses that a page refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    @property
    def references(self) -> list[str]:
        return [str(value) for _, found in self.tags for key, value in found.items() if key in ("src", "href")]

    def cards(self) -> list[dict[str, str | None]]:
        return [found for _, found in self.tags if (found.get("class") or "").startswith("card ")]


def test_report_shows_every_sample_that_has_an_image_and_loads_its_own_files_only(tmp_path: Path) -> None:
    dataset = InMemoryDataset(tmp_path, 25)
    index = write_report(dataset, tmp_path / "report")
    text = index.read_text()
    page = Page(text)
    assert all((index.parent / reference).is_file() for reference in page.references)
    assert "http://" not in text and "https://" not in text
    cards = {int(card["data-index"] or -1): card for card in page.cards()}
    drawn = dataset.frame()[dataset.frame()["status"] != "planned"]
    assert sorted(cards) == list(drawn.index)
    for i, row in drawn.iterrows():
        assert (cards[i]["data-status"], cards[i]["data-category"], cards[i]["data-reason"]) == (
            row["status"],
            row["category"],
            row["reason"],
        )


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    plain = write_report(InMemoryDataset(tmp_path / "plain", 6), tmp_path / "a").read_text()
    hostile = InMemoryDataset(tmp_path / HOSTILE.replace("/", ""), 6, prompt=HOSTILE, category=HOSTILE)
    page = Page(write_report(hostile, tmp_path / "b").read_text())
    names = {tag for tag, _ in Page(plain).tags}
    assert {tag for tag, _ in page.tags} <= names
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert not any(key.startswith("on") for _, found in page.tags for key in found)
    assert {card["data-prompt"] for card in page.cards()} == {HOSTILE}


def test_report_replaces_the_one_before_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_report(InMemoryDataset(tmp_path, 12), tmp_path / "report")
    index = write_report(InMemoryDataset(tmp_path, 6), tmp_path / "report")
    assert len(list((index.parent / "samples").iterdir())) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="no report"):
        write_report(InMemoryDataset(tmp_path, 3), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_dataset_without_scores_or_kept_samples(tmp_path: Path) -> None:
    dataset = InMemoryDataset(
        tmp_path, 4, status="failed", reason="", clip_score=np.nan, area=np.nan, uncertainty=np.nan
    )
    assert "no value among the kept" in write_report(dataset, tmp_path / "report").read_text()
    assert "data:image" not in thumbnails_markdown(dataset)


@given(
    st.lists(st.sampled_from(["kept", "rejected/a", "rejected/b", "failed/c", "planned"]), min_size=1, max_size=80),
    st.integers(4, 40),
)
def test_choice_is_bounded_ordered_and_leaves_no_reason_out(names: list[str], limit: int) -> None:
    parts = [(name + "/").split("/")[:2] for name in names]
    frame = pd.DataFrame(parts, columns=["status", "reason"])
    drawn = frame[frame["status"] != "planned"]
    chosen = choose(frame, limit)
    assert len(chosen) == min(limit, len(drawn))
    assert chosen.index.is_monotonic_increasing and chosen.index.is_unique
    assert set(map(tuple, chosen.to_numpy())) == set(map(tuple, drawn.to_numpy()))


def test_markdown_is_small_and_escaped(tmp_path: Path) -> None:
    dataset = InMemoryDataset(tmp_path / "d", 40)
    text = thumbnails_markdown(dataset, 12)
    assert "data:image/jpeg;base64," in text and len(text.encode()) < MARKDOWN_LIMIT
    hostile = escape("a|b](javascript:x) <script> *\n# title")
    assert not set("|[]()<>*\n") & set(hostile)


def test_report_on_a_stored_dataset(tmp_path: Path) -> None:
    """The same through the real store: what was written there is what the page shows."""
    source, path = InMemoryDataset(tmp_path, 6), tmp_path / "stored"
    frame = source.frame().assign(status=[3, 4, 3, 4, 5, 5], box=[(1, 2, 3, 4)] * 6, energy=0.0)
    columns = {str(name): np.asarray(frame[name].tolist()) for name in frame.columns}
    config = {"backbone": "pocket", "seed": 3, "count": 6}
    with DatasetWriter.open(path, config, config, (128, 128), (16, 16), 4, 6) as writer:
        for shard, rows in enumerate((slice(0, 4), slice(4, 6))):
            fork = writer.fork()
            write_shard(fork, shard, {k: v[rows] for k, v in (columns | dict(source.group)).items()})
            writer.commit(fork, f"Shard {shard}")
        writer.publish("Publish")
    dataset = open_dataset(path)
    page = Page(write_report(dataset, path / "report").read_text())
    assert [card["data-status"] for card in page.cards()] == ["kept", "rejected"] * 2 + ["failed"] * 2
    assert [card["data-prompt"] for card in page.cards()] == list(frame["prompt"])
    assert "2 kept of 6 planned" in thumbnails_markdown(dataset)
