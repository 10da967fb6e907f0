"""A report is complete, self-contained, harmless whatever the prompts say, and replaced as a whole."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.report import MARKDOWN_LIMIT, advice_on, escape, script, thumbnails_markdown, write_report
from storage.dataset.reader import open_dataset
from storage.dataset.shards import write_shard
from storage.dataset.writer import DatasetWriter
from tests.analysis.standin import InMemoryDataset

HOSTILE = """</span></script><script>alert(1)</script><img src=x onerror="alert(2)"> "a' {{ 7 * 7 }} ball"""
JSONABLE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


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
        found = [str(value) for _, found in self.tags for key, value in found.items() if key in ("src", "href")]
        return [reference for reference in found if not reference.startswith(("#", "data:"))]


def samples_of(index: Path) -> dict[str, Any]:
    """What the page knows of the samples."""
    text = (index.parent / "samples.js").read_text(encoding="ascii")
    return json.loads(text.removeprefix("window.SAMPLES = ").removesuffix(";\n"))


def test_report_has_every_sample_and_loads_its_own_files_only(tmp_path: Path) -> None:
    dataset = InMemoryDataset(tmp_path, 25)
    frame = dataset.frame()
    index = write_report(dataset, tmp_path / "report")
    page = Page(index.read_text())
    assert all((index.parent / reference).is_file() for reference in page.references)
    for text in (index.read_text(), (index.parent / "samples.js").read_text()):
        assert "http://" not in text and "https://" not in text
    samples = samples_of(index)
    for name in ("status", "reason", "category", "prompt"):
        assert samples[name] == frame[name].tolist()
    sampled = [f"{i:06d}.webp" for i in frame.index[frame["status"] != "planned"]]
    assert samples["drawn"] == (frame["status"] != "planned").tolist()
    for folder in ("thumbs", "samples"):
        assert sorted(path.name for path in (index.parent / folder).iterdir()) == sampled


@settings(max_examples=50)
@given(JSONABLE)
def test_data_comes_back_from_a_script_that_cannot_end_early(value: Any) -> None:
    text = script("DATA", value)
    assert text.isascii() and not set("<>&") & set(text)
    assert json.loads(text.removeprefix("window.DATA = ").removesuffix(";\n")) == value


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    plain = write_report(InMemoryDataset(tmp_path / "plain", 6), tmp_path / "a").read_text()
    reasons = ["", HOSTILE, "", "", "", ""]
    hostile = InMemoryDataset(
        tmp_path / HOSTILE.replace("/", ""), 6, prompt=HOSTILE, category=HOSTILE, reason=reasons, status="rejected"
    )
    hostile.config[HOSTILE] = HOSTILE
    index = write_report(hostile, tmp_path / "b")
    page = Page(index.read_text())
    names = [tag for tag, _ in Page(plain).tags]
    assert {tag for tag, _ in page.tags} <= set(names)
    assert sum(tag == "script" for tag, _ in page.tags) == names.count("script")
    assert not any(key.startswith("on") for _, found in page.tags for key in found)
    assert set(samples_of(index)["prompt"]) == {HOSTILE}


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
    assert samples_of(write_report(dataset, tmp_path / "report"))["scores"] == []
    assert "data:image" not in thumbnails_markdown(dataset)


def test_seeds_and_scores_are_exact_or_absent(tmp_path: Path) -> None:
    """A browser's numbers are doubles: 2^63 - 1 would come back as another seed."""
    seeds = [2**63 - 1, -(2**63), 2**53 + 1, 0]
    dataset = InMemoryDataset(tmp_path, 4, seed=seeds, clip_score=[0.123456, np.nan, np.inf, 1e-9])
    samples = samples_of(write_report(dataset, tmp_path / "report"))
    assert {"label": "seed", "values": [str(seed) for seed in seeds]} in samples["facts"]
    assert samples["scores"][0] == {"name": "clip_score", "label": "CLIP score", "values": [0.12346, None, None, 1e-9]}


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
    samples = samples_of(write_report(dataset, path / "report"))
    assert samples["status"] == ["kept", "rejected"] * 2 + ["failed"] * 2
    assert samples["prompt"] == list(frame["prompt"])
    assert samples["tiles"] == ["image", "mask", "overlay", "A_c", "r"]
    assert "2 kept of 6 planned" in thumbnails_markdown(dataset)


def test_the_page_says_what_to_do_if_most_masks_have_an_unlikely_size(tmp_path):
    summary = {"planned": 10, "rejected": {"too large": 6, "uncertain": 1}}
    dataset = InMemoryDataset(tmp_path / "my data", 3)
    (line,) = advice_on(dataset, summary)
    assert line.startswith("6 of 10 masks are too large") and line.endswith(f"maskmill tune '{dataset.path}'")
    assert not advice_on(dataset, {"planned": 10, "rejected": {"too large": 5}})
    assert not advice_on(dataset, {"planned": 10, "rejected": {"wrong class": 9}})
    assert not advice_on(dataset, {"planned": 0, "rejected": {}})
