"""The tuning page, driven in headless Chromium on a build of pocket: what it shows is what a recut makes."""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from typer.testing import CliRunner

from analysis.tuning_page.server import Server
from flows.build import build
from flows.recut import recut
from flows.tune.bench import TuningBench
from maskmill.cli import app
from models.config.build import BuildConfig
from models.config.overrides import resolve
from models.errors import UserError
from models.tuning.score import score_of
from models.tuning.trials import Setting
from storage.dataset.reader import open_dataset
from storage.dataset.trials import trial_of
from storage.dataset.writer import DatasetWriter
from tests.analysis.browser import PATIENCE, chromium
from tests.flows.conftest import changed

PAPER = {"thresholds": "paper", "tau": 0.16, "alpha": 2.5, "objectness": "sum", "lambda_": 0.1}


def always() -> bool:
    return True


@pytest.fixture(scope="module")
def config() -> BuildConfig:
    """Four samples of pocket under the paper's numbers."""
    sections = {
        "sampling": {"steps": 4, "top_k": 5},
        "screen": {"clip": "none"},
        "run": {"batch_size": 1, "device": "cpu"},
    }
    values = {"classes": ["ball", "star"], "count": 4, "shard_size": 4, "seed": 3} | sections
    return changed(BuildConfig.model_validate(values), cut=PAPER)


@pytest.fixture(scope="module")
def sampled(config: BuildConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "dataset"
    build(config, out)
    return out


@pytest.fixture
def out(sampled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sampled, tmp_path / "dataset"))


@pytest.fixture
def page(out: Path) -> Iterator[Any]:
    """The page in a browser; whatever it asks of another server, or logs as an error, fails the test."""
    from playwright.sync_api import expect

    expect.set_options(timeout=PATIENCE)
    bench, trouble = TuningBench(out, 4), []
    with chromium() as browser, Server(bench) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        found = browser.new_page(viewport={"width": 1280, "height": 2400})
        found.set_default_timeout(PATIENCE)
        found.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
        found.on("pageerror", lambda error: trouble.append(str(error)))
        found.on(
            "request", lambda each: None if each.url.startswith((server.url, "data:")) else trouble.append(each.url)
        )
        found.goto(server.url)
        settled(found)
        yield found
        server.shutdown()
        bench.close()
    assert trouble == []


def settled(page: Any) -> float:
    """The score, once all masks in view are solved."""
    from playwright.sync_api import expect

    expect(page.locator("#score")).to_have_text(re.compile(r"\d"))
    return float(page.inner_text("#score"))


def move(page: Any, name: str, value: Any) -> None:
    """Move a slider by the keyboard until it shows a value."""
    slider = page.get_by_label(name, exact=True)
    slider.focus()
    page.keyboard.press("Home")
    for _ in range(40):
        if page.inner_text(f"output[for=field-{name}]") == str(value):
            return
        page.keyboard.press("ArrowRight")
    raise AssertionError(f"{name} has no {value}")


def masks(page: Any) -> np.ndarray:
    """The masks as they are shown, (N, H, W) bool."""
    page.check("input[value=mask]")
    script = "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
    pixels = [np.array(canvas.evaluate(script)) for canvas in page.query_selector_all("canvas")]
    grey = np.stack([each.reshape(128, 128, 4)[..., 0] for each in pixels])
    assert set(np.unique(grey)) <= {0, 255}
    return grey == 255


def test_the_masks_shown_are_those_of_a_recut_and_so_is_the_score(page: Any, out: Path, config: BuildConfig) -> None:
    np.testing.assert_array_equal(masks(page), open_dataset(out).read("mask"))
    before = masks(page)
    for fields in ({"lambda": 6, "tau": 0.5, "objectness": "mean"}, {"thresholds": "adaptive", "geodesic_scale": 5}):
        for name, value in fields.items():
            move(page, name, value)
        score = settled(page)
        shown, config = (
            masks(page),
            changed(config, cut={name.replace("lambda", "lambda_"): v for name, v in fields.items()}),
        )
        assert not np.array_equal(shown, before)
        trials = [trial_of(open_dataset(out, "v1"), row) for row in range(4)]
        assert score == pytest.approx(score_of(trials, Setting(config.cut, 5)).value, abs=0.006)
        recut(config, out)
        np.testing.assert_array_equal(shown, open_dataset(out).read("mask"))
        before = shown
    assert page.is_disabled("#field-tau") and "adaptive" in page.inner_text("#field-tau-reason")
    assert page.is_disabled("#field-top_k") and "keep_pooled" in page.inner_text("#field-top_k-reason")


@pytest.mark.slow
def test_a_written_config_builds_on_and_a_recut_publishes_the_masks(page: Any, out: Path) -> None:
    from playwright.sync_api import expect

    move(page, "lambda", 6)
    move(page, "alpha", 1)
    settled(page)
    shown = masks(page)
    page.get_by_role("button", name="Write config").click()
    expect(page.locator("#status")).to_have_text(f"Written: {out / 'tuned.yaml'}")
    written = resolve(BuildConfig, out / "tuned.yaml", {}, [])
    assert written.tuned and (written.cut.lambda_, written.cut.alpha, written.cut.thresholds) == (6, 1, "paper")
    page.get_by_role("button", name="Recut").click()
    assert page.is_disabled("#recut")
    expect(page.locator("#status")).to_have_text("Published v2.")
    assert page.inner_text("#version") == "v2"
    dataset = open_dataset(out)
    np.testing.assert_array_equal(dataset.read("mask"), shown)
    assert BuildConfig.of_stored(dataset.config) == BuildConfig.of_stored(
        written.model_dump(mode="json", by_alias=True)
    )
    page.get_by_role("button", name="Recut").click()
    expect(page.locator("#status")).to_have_text("Nothing to do: these are the masks of v2.")
    page.get_by_role("button", name="Reset").click()
    np.testing.assert_array_equal((settled(page), masks(page))[1], open_dataset(out, "v1").read("mask"))


def test_the_page_fits_a_phone_and_shows_the_overlay(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    move(page, "thresholds", "adaptive")
    settled(page)
    picture = page.locator("canvas").first.screenshot()
    page.check("input[value=image]")
    assert page.locator("canvas").first.screenshot() != picture
    assert page.locator(".maps img").count() == 12


@pytest.mark.parametrize(
    "values, match",
    [
        ({"lambda": -1}, "lambda: "),
        ({"lambda": float("nan")}, "lambda: "),
        ({"alpha": "x", "thresholds": "paper"}, "alpha: "),
        ({"tau": 0.45}, "tau: expected one of 0.16, 0.3"),
        ({"top_k": 3}, "top_k: expected one of 5, got 3"),
        ({"top_k": True}, "top_k: "),
        ({"thresholds": ["paper"]}, "thresholds: "),
        ({"grid": "full"}, "grid: expected fields among"),
        ({"affinity_scale": {"a": 1}}, "affinity_scale"),
    ],
    ids=str,
)
def test_a_bad_value_is_one_line_and_writes_nothing(sampled: Path, values: dict[str, Any], match: str) -> None:
    bench = TuningBench(sampled, 2)
    for action in (bench.write, bench.recut, lambda given: bench.mask(0, given, always)):
        with pytest.raises(UserError, match=match) as error:
            action(values)
        assert "\n" not in str(error.value)
    assert not (sampled / "tuned.yaml").exists() and not bench.progress()["running"]


def test_an_older_dataset_and_kept_attention_offer_what_they_store(
    out: Path, config: BuildConfig, tmp_path: Path
) -> None:
    def change(group: Any) -> None:
        del group["refined_sets"]
        del group.attrs["seed_sets"]

    with DatasetWriter.reopen(out) as writer:
        writer.edit(change, "As older code")
        writer.publish("As older code", open_dataset(out).statistics)
    fields = {field["name"]: field for field in TuningBench(out, 2).state()["fields"]}
    assert fields["tau"]["values"] == (0.16,) and "older version" in fields["tau"]["reason"]
    assert fields["thresholds"]["values"] == ("paper",) and fields["thresholds"]["reason"]
    assert not fields["lambda"]["reason"]

    kept = changed(config, count=2, sampling={"keep_pooled": True})
    build(kept, tmp_path / "kept")
    bench = TuningBench(tmp_path / "kept", 2)
    fields = {field["name"]: field for field in bench.state()["fields"]}
    assert len(fields["top_k"]["values"]) > 1 and not fields["top_k"]["reason"]
    values = {"top_k": 3, "tau": 0.4, "lambda": 4}
    shown = [bench.mask(row, values, always) for row in (0, 1)]
    recut(changed(kept, cut={"tau": 0.4, "lambda_": 4.0}, sampling={"top_k": 3}), tmp_path / "kept")
    areas = open_dataset(tmp_path / "kept").read("mask").mean(axis=(1, 2))
    assert [each["area"] for each in shown] == pytest.approx(areas.tolist(), abs=1e-12)


def test_the_command_prints_the_address_serves_and_ends_cleanly(sampled: Path) -> None:
    for ending in (signal.SIGINT, signal.SIGTERM):
        command = [sys.executable, "-m", "maskmill", "tune", str(sampled), "--page", "--samples", "2"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and process.stderr is not None
            url = process.stdout.readline().split()[1]
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32}/", url)
            assert len(json.load(urlopen(url + "state", timeout=30))["samples"]) == 2
            process.send_signal(ending)
            assert process.wait(30) == 0 and process.stderr.read() == ""


def test_what_cannot_be_shown_is_refused_in_a_line(out: Path, tmp_path: Path) -> None:
    def refused(path: Path, match: str, *options: str) -> None:
        result = CliRunner().invoke(app, ["tune", str(path), *options])
        assert result.exit_code == 2 and match in result.output and result.output.count("\n") == 1, result.output

    refused(tmp_path / "nothing", "nothing", "--page")
    refused(out, "--dry-run", "--page", "--dry-run")
    refused(out, "--port 8000", "--port", "8000")
    refused(out, "--port 70000", "--page", "--port", "70000")
    refused(out, "--samples", "--page", "--samples", "0")

    def fail(group: Any) -> None:
        group["status"][:] = 5

    with DatasetWriter.reopen(out) as writer:
        writer.edit(fail, "All fail")
        writer.publish("All fail", open_dataset(out).statistics)
    refused(out, "no sample has a mask", "--page")


def test_a_running_build_leaves_the_page_its_snapshot(out: Path, config: BuildConfig) -> None:
    with DatasetWriter.reopen(out) as writer:
        writer._extend(changed(config, count=9).model_dump(mode="json", by_alias=True), 9)
    bench = TuningBench(out, 4)
    assert bench.state()["version"] == "v1" and bench.mask(0, {}, always)["area"] > 0
