"""Writing time and size of a report, and the time to open it in headless Chromium.

Datasets of rendered scenes, repeated; the report is that of `maskmill report`. The peer is a page with all cards as
markup, whose pictures the browser loads lazily.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from PIL import Image

from analysis.report import write_report
from models.errors import UserError
from models.pocket.scenes import render
from storage.dataset.reader import Dataset, open_dataset
from storage.dataset.schema import FAILED, KEPT, REJECTED
from storage.dataset.shards import write_shard
from storage.dataset.writer import DatasetWriter

LARGE, OPENS = 200, 3.0  # samples of the larger size; seconds
DIFFERENT, SHARD = 250, 50  # scenes that are rendered, samples in a shard
SIDES = {128: "pocket's size", 512: "Stable Diffusion's size"}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
READY = """() => {
  const all = [...document.querySelectorAll(".card img")];
  const images = all.filter(image => image.getBoundingClientRect().top < innerHeight);
  return images.length > 0 && images.every(image => image.complete);
}"""
CARD = (
    '<button class="card" style="position:static;contain:none;display:inline-block;width:250px"><span class="picture">'
    '<img src="thumbs/{0:06d}.webp" loading="lazy" width="250" height="125"></span><span class="text">'
    '<span class="title"><strong>ball</strong><span class="number">#{0}</span></span><span class="line">kept</span>'
    '<span class="line">a prompt</span></span></button>'
)
SCROLL = """async () => {
  const times = [];
  let last = performance.now();
  for (let i = 0; i < 60; i++) {
    scrollBy(0, 400);
    await new Promise(requestAnimationFrame);
    times.push(performance.now() - last);
    last = performance.now();
  }
  return times;
}"""


def run(count: int) -> dict[str, Any]:
    """Write and open the report on `count` samples of pocket's size and on LARGE samples of Stable Diffusion's size."""
    writing, opening = [], []
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        for side, name in SIDES.items():
            samples = count if side == min(SIDES) else LARGE
            dataset = scenes(Path(folder) / str(side), samples, side)
            clock, processor = perf_counter(), process_time()
            index = write_report(dataset, Path(folder) / f"report-{side}")
            times = [
                (end - start) / samples * 1e3 for end, start in ((perf_counter(), clock), (process_time(), processor))
            ]
            size = sum(file.stat().st_size for file in index.parent.rglob("*.webp"))
            writing.append([f"{samples:,} of {side}x{side}, {name}", *times, size / samples / 1e3])
            opening.append([f"{samples:,} of {side}x{side}", *looked_at(browser, index)])
            if side == min(SIDES):
                peer = [f"{samples:,} as markup", *looked_at(browser, as_markup(index, samples), plots=False)]
    opening.append(peer)
    seconds = opening[0][1]
    verdict = "reached" if seconds < OPENS else "**not reached**"
    return {
        "count": count,
        "source": "rendered scenes",
        "tables": [
            {
                "title": "Writing the report",
                "columns": [
                    "samples",
                    "milliseconds a sample by the clock",
                    "of processor time",
                    "kB of pictures a sample",
                ],
                "rows": writing,
                "note": "With the statistics; Plotly adds 4.8 MB a report. Processor time, because other work on the "
                f"machine makes the clock's longer: the load was {os.getloadavg()[0]:.1f}, of which {os.cpu_count()} "
                "are the report's own.",
            },
            {
                "title": "Opening it",
                "columns": [
                    "samples",
                    "seconds to the first pictures",
                    "seconds to all plots",
                    "median frame, ms",
                    "95 %",
                ],
                "rows": opening,
                "note": f"Headless Chromium, drawing in software; frames while scrolling 400 pixels each. As "
                f"markup the same samples take {peer[1] / seconds:.1f} times as long to open.",
            },
        ],
        "verdicts": {f"{count:,} samples open in under {OPENS:g} s": f"{seconds:.2f} s, {verdict}"},
    }


def scenes(path: Path, count: int, side: int) -> Dataset:
    """A published dataset of rendered scenes at `side` pixels; every fifth sample rejected, every hundredth failed."""
    rendered = [render(3, i) for i in range(min(count, DIFFERENT))]
    config = {"backbone": "rendered scenes", "seed": 3, "count": count}
    grid = (side // 8, side // 8)
    rng = np.random.default_rng(0)
    with DatasetWriter.open(path, config, config, (side, side), grid, SHARD, count) as writer:
        for shard in range(-(-count // SHARD)):
            indices = np.arange(shard * SHARD, min((shard + 1) * SHARD, count))
            some = [rendered[i % DIFFERENT] for i in indices]
            masks = [resized(scene.mask, side) for scene in some]
            maps = np.stack([resized(mask.astype(np.float32), side // 8) for mask in masks])
            noise = rng.random((2, len(some)), dtype=np.float32)
            status = np.where(indices % 100 == 99, FAILED, np.where(indices % 5 == 4, REJECTED, KEPT))
            columns = {
                "image": np.stack([resized(scene.image, side) for scene in some]),
                "mask": np.stack(masks),
                "class_map": maps,
                "refined": maps,
                "status": status,
                "category": [scene.category for scene in some],
                "prompt": [scene.caption for scene in some],
                "seed": indices,
                "reason": np.where(status == REJECTED, "uncertain", ""),
                "clip_score": noise[0],
                "uncertainty": noise[1],
                "area": [mask.mean() for mask in masks],
            }
            fork = writer.fork()
            write_shard(fork, shard, columns)
            writer.commit(fork, f"Shard {shard}")
        writer.publish("Publish")
    return open_dataset(path)


def resized(picture: np.ndarray, side: int) -> np.ndarray:
    """A picture or map resized to `side` x `side` pixels."""
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR))


@contextmanager
def chromium() -> Iterator[Any]:
    """An installed headless browser; UserError if there is none."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        raise UserError(f"bench report: needs Chromium, but none of {', '.join(BROWSERS)} is on the PATH; install one")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


def as_markup(index: Path, count: int) -> Path:
    """The peer: all cards in one page, with the report's style."""
    page = index.with_name("markup.html")
    cards = "".join(CARD.format(i) for i in range(count - 1))
    page.write_text(f'<!doctype html><link rel="stylesheet" href="report.css"><main>{cards}</main>')
    return page


def looked_at(browser: Any, index: Path, plots: bool = True) -> list[Any]:
    """Seconds to the first pictures and to all plots; median and 95 % of the frames' milliseconds while scrolling."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    start = perf_counter()
    page.goto(index.as_uri())
    page.wait_for_function(READY)
    opened = perf_counter() - start
    frames = page.evaluate(SCROLL)
    plotted = shown_plots(page) if plots else "–"
    page.close()
    return [opened, plotted, *np.quantile(frames, (0.5, 0.95)).tolist()]


def shown_plots(page: Any) -> float:
    """Seconds from opening the tab to the last plot."""
    start = perf_counter()
    page.click(".tabs >> text=Statistics")
    page.wait_for_selector("#waiting", state="detached", timeout=120_000)
    return perf_counter() - start
