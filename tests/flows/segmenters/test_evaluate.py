"""Evaluation through the command line: figures as by hand, perfect predictions, resumption, and what is refused."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import storage.results.scores
from benchmarks.rendered import rendered_dataset
from maskmill.cli import app
from models.metrics import BoxScores, MaskScores
from models.segmenters.registry import segmenter_of
from models.segmenters.smp.config import UNetConfig
from storage.photos.folders import open_folder
from storage.runs import checkpoints
from storage.runs.checkpoints import load_segmenter
from storage.runs.folder import BEST, open_run

SIZES = ((40, 60), (64, 64), (33, 90), (50, 50), (48, 70), (71, 44))


def invoke(*arguments: object):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def write_pairs(folder, names=None):
    """Photographs of several sizes, each a bright rectangle on noise, in ECSSD's layout."""
    rng = np.random.default_rng(0)
    for name in names or [f"p{i}" for i in range(len(SIZES))]:
        height, width = SIZES[int(rng.integers(len(SIZES)))]
        mask = np.zeros((height, width), bool)
        y, x = rng.integers(2, 15, 2)
        mask[y : y + height // 2, x : x + width // 3] = True
        photo = np.where(mask[..., None], 220, rng.integers(0, 120, (height, width, 3))).astype(np.uint8)
        for part, picture in (("images", photo), ("ground_truth_mask", mask.astype(np.uint8) * 255)):
            (folder / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(folder / part / f"{name}.png")
    return folder


@pytest.fixture
def pairs(tmp_path):
    return write_pairs(tmp_path / "pairs")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A UNet trained for a few steps on a folder, by the command that a user gives."""
    base = tmp_path_factory.mktemp("trained")
    options = {
        "encoder": "resnet18",
        "size": 64,
        "epochs": 2,
        "batch_size": 2,
        "run": {"device": "cpu", "batch_size": 2},
    }
    (base / "options.yaml").write_text(yaml.safe_dump(options))
    folder = write_pairs(base / "photos")
    done = invoke(
        "train", "unet", "--folder", f"ECSSD={folder}", "--run", base / "tiny", "--config", base / "options.yaml"
    )
    assert done.exit_code == 0, done.output
    assert "unet, resnet18, from random weights" in done.output
    return base / "tiny"


def shards_of(images: int, monkeypatch) -> None:
    for module in ("tasks.evaluating", "storage.results.scores"):
        monkeypatch.setattr(f"{module}.SHARD", images)


@pytest.fixture
def knowing(monkeypatch):
    """A segmenter that knows the truth: a photo is bright where its mask is."""

    class Knowing:
        def predict(self, photos):
            return [(photo.min(axis=2) > 200).astype(np.float32) for photo in photos]

    monkeypatch.setattr(checkpoints, "load_run", lambda folder: Knowing())


def test_perfect_predictions_have_iou_1_and_mae_0(trained, pairs, tmp_path, knowing):
    done = invoke("evaluate", trained, "--benchmark", f"ECSSD={pairs}", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    summary = pd.read_csv(tmp_path / "out" / "summary.csv").iloc[0]
    assert (summary["iou"], summary["acc"], summary["mae"], summary["images"]) == (1, 1, 0, len(SIZES))


def test_a_mask_that_is_no_number_is_an_error_of_its_photo(trained, pairs, tmp_path, monkeypatch):
    class Broken:
        def predict(self, photos, categories=None):
            return [np.full(photo.shape[:2], np.nan if i == 0 else 1, np.float32) for i, photo in enumerate(photos)]

    monkeypatch.setattr(checkpoints, "load_run", lambda folder: Broken())
    shards_of(len(SIZES), monkeypatch)
    out = tmp_path / "scores"
    done = invoke("evaluate", trained, "--benchmark", f"ECSSD={pairs}", "--out", out, "--set", "run.batch_size=9")
    assert done.exit_code == 1 and "the mask has values that are NaN or infinite" in done.output, done.output
    assert pd.read_csv(out / "summary.csv").iloc[0]["images"] == len(SIZES) - 1
    masks = tmp_path / "masks"
    done = invoke("predict", trained, pairs / "images", "--out", masks, "--set", "run.batch_size=9")
    assert done.exit_code == 1 and f"predicted {len(SIZES) - 1}, before 0, failed 1" in done.output, done.output
    assert len(list(masks.glob("*-soft.png"))) == len(SIZES) - 1


def test_scores_are_those_of_the_metrics_on_the_segmenters_own_predictions(trained, pairs, tmp_path):
    out = tmp_path / "out"
    done = invoke("evaluate", trained, "--benchmark", f"ECSSD={pairs}", "--out", out, "--worst", 2)
    assert done.exit_code == 0, done.output
    segmenter, benchmark, expected = load_segmenter(trained, "cpu"), open_folder("ECSSD", pairs), MaskScores()
    read = [benchmark.pair(i) for i in range(len(benchmark))]
    rows = [expected.add(segmenter.predict([photo])[0], truth) for photo, truth in read]
    images = pd.read_parquet(out / "images.parquet").set_index("name")
    for name, row in zip(benchmark.names, rows, strict=True):
        np.testing.assert_allclose(images.loc[name, list(row)].to_numpy(float), list(row.values()), atol=5e-3)
    summary = pd.read_csv(out / "summary.csv").iloc[0]
    for name, score in expected.summary().items():
        assert summary[name] == pytest.approx(score, abs=5e-3)
        assert f"{summary[name]:.4f}" in done.output
    page = (out / "report" / "index.html").read_text()
    pictures = re.findall(r'src="([^"]+)"', page)
    assert len(pictures) == 2 and all((out / "report" / picture).is_file() for picture in pictures)
    assert "http" not in page and images["iou"].idxmin() in page


def test_a_killed_evaluation_goes_on_and_ends_as_an_unbroken_one(trained, pairs, tmp_path, monkeypatch):
    shards_of(2, monkeypatch)
    command = ("evaluate", trained, "--benchmark", f"ECSSD={pairs}", "--out")
    assert invoke(*command, tmp_path / "whole").exit_code == 0

    def dies(self, shard, rows, own=storage.results.scores.ScoreFolder.write):
        if shard == 2:
            raise KeyboardInterrupt
        own(self, shard, rows)

    with monkeypatch.context() as patch:
        patch.setattr(storage.results.scores.ScoreFolder, "write", dies)
        assert invoke(*command, tmp_path / "out").exit_code == 1
    done = invoke(*command, tmp_path / "out")
    assert done.exit_code == 0 and "scored 2, before 4, failed 0" in done.output
    for file in ("images.parquet", "summary.csv", "comparison.md"):
        assert (tmp_path / "out" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    again = invoke(*command, tmp_path / "out")
    assert "scored 0, before 6, failed 0" in again.output


def test_what_changed_is_scored_again_and_what_fails_is_named(trained, pairs, tmp_path, knowing):
    command = ("evaluate", trained, "--benchmark", f"ECSSD={pairs}", "--out", tmp_path / "out")
    assert "scored 6" in invoke(*command).output
    mask = pairs / "ground_truth_mask" / "p1.png"
    Image.fromarray(255 - np.asarray(Image.open(mask))).save(mask)
    assert "scored 1, before 5" in invoke(*command).output
    assert pd.read_csv(tmp_path / "out" / "summary.csv")["iou"][0] == pytest.approx(5 / 6)
    (pairs / "images" / "p2.png").write_bytes(b"\x89PNG<b>torn")
    torn = invoke(*command)
    assert torn.exit_code == 1 and "scored 0, before 5, failed 1" in torn.output and "p2.png" in torn.output
    summary = pd.read_csv(tmp_path / "out" / "summary.csv").iloc[0]
    assert (summary["images"], summary["failed"]) == (5, 1)
    assert "p2.png" in (tmp_path / "out" / "report" / "index.html").read_text()


def test_a_set_that_lost_and_changed_files_scores_as_it_now_is(trained, pairs, tmp_path, knowing, monkeypatch):
    shards_of(2, monkeypatch)
    command = ("evaluate", trained, "--benchmark", f"ECSSD={pairs}", "--out")
    assert invoke(*command, tmp_path / "out").exit_code == 0
    (pairs / "images" / "p0.png").unlink()
    (pairs / "ground_truth_mask" / "p0.png").unlink()
    mask = pairs / "ground_truth_mask" / "p2.png"
    Image.fromarray(255 - np.asarray(Image.open(mask))).save(mask)
    assert "scored 1, before 4" in invoke(*command, tmp_path / "out").output
    assert "scored 0, before 5" in invoke(*command, tmp_path / "out").output
    assert invoke(*command, tmp_path / "fresh").exit_code == 0
    one, other = (pd.read_parquet(tmp_path / name / "images.parquet") for name in ("out", "fresh"))
    pd.testing.assert_frame_equal(one, other)


def test_runs_are_compared_and_names_are_escaped(trained, tmp_path, knowing):
    other = shutil.copytree(trained, tmp_path / "other|<i>")
    pairs = write_pairs(tmp_path / "pairs", ["<b>a&b", "plain"])
    done = invoke("evaluate", trained, other, "--benchmark", f"ECSSD={pairs}", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    page, table = ((tmp_path / "out" / name).read_text() for name in ("report/index.html", "comparison.md"))
    assert "<b>" not in page and "&lt;b&gt;a&amp;b" in page and "other|&lt;i&gt;" in page
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len(rows) == 4 and len({line.count("|") for line in rows}) == 1 and "**1.0000**" in rows[2]


def test_boxes_give_corloc(trained, tmp_path, knowing):
    photos = write_pairs(tmp_path / "pairs") / "images"
    data = tmp_path / "VOC2007"
    shutil.copytree(photos, data / "JPEGImages")
    (data / "Annotations").mkdir()
    (data / "ImageSets" / "Main").mkdir(parents=True)
    (data / "ImageSets" / "Main" / "trainval.txt").write_text("\n".join(p.stem for p in sorted(photos.iterdir())))
    for photo in photos.iterdir():
        Image.open(photo).save(data / "JPEGImages" / f"{photo.stem}.jpg", quality=100, subsampling=0)
        (data / "Annotations" / f"{photo.stem}.xml").write_text(
            "<annotation><object><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>30</xmax><ymax>30</ymax></bndbox></object>"
            "</annotation>"
        )
    done = invoke("evaluate", trained, "--benchmark", f"VOC07={data}", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    benchmark, expected = open_folder("VOC07", data), BoxScores()
    for i in range(len(benchmark)):
        photo, boxes = benchmark.pair(i)
        expected.add((photo.min(axis=2) > 200).astype(np.float32), boxes)
    summary = pd.read_csv(tmp_path / "out" / "summary.csv").iloc[0]
    assert {name: summary[name] for name in ("corloc", "box_iou")} == pytest.approx(expected.summary())


def test_a_baseline_trains_on_a_dataset_and_predicts_photographs(tmp_path, pairs):
    data, run = rendered_dataset(tmp_path / "data", 6), tmp_path / "run"
    choices = ("encoder=resnet18", "size=64", "epochs=1", "batch_size=4", "run.device=cpu")
    options = [part for choice in choices for part in ("--set", choice)]
    done = invoke("train", "deeplabv3", "--data", data, "--run", run, *options)
    assert done.exit_code == 0, done.output
    assert json.loads((run / "config.json").read_text())["config"]["encoder_weights"] == "random"
    done = invoke("predict", run, pairs / "images", "--out", tmp_path / "out")
    assert done.exit_code == 0 and "predicted 6" in done.output, done.output
    refused = invoke("predict", run, pairs / "images", "--out", tmp_path / "out", "--class", "dog")
    assert refused.exit_code == 2 and "takes no class" in refused.output


def test_what_a_run_cannot_be_used_with_is_refused_before_anything_is_written(trained, pairs, tmp_path):
    """Weights of a run with a larger encoder, though they say no step or score of their own, and a GPU there is not."""
    copies = {name: shutil.copytree(trained, tmp_path / name) for name in ("weights", "older", "device")}
    own = json.loads((trained / "config.json").read_text())
    larger = UNetConfig.model_validate(own["config"] | {"encoder": "resnet34"})
    weights = {name: value.contiguous() for name, value in segmenter_of(larger).network.state_dict().items()}
    facts = {"segmenter": "unet", "step": "1", "score": "0.5"}
    save_file(weights, copies["weights"] / BEST, facts | {"config": json.dumps(larger.identity())})
    save_file(weights, copies["older"] / BEST, facts)
    own["config"]["run"]["device"] = "cuda:99"
    (copies["device"] / "config.json").write_text(json.dumps(own))

    def refused(command: str, name: str) -> tuple[int, str]:
        given = (pairs / "images",) if command == "predict" else ("--benchmark", f"ECSSD={pairs}")
        done = invoke(command, copies[name], *given, "--out", tmp_path / f"out-{name}")
        return done.exit_code, done.stderr.splitlines()[-1]

    for command in ("predict", "evaluate"):
        code, said = refused(command, "weights")
        assert code == 2 and f"{copies['weights'] / BEST}: expected this run's weights" in said
        assert "encoder 'resnet34' where 'resnet18' is in config.json; restore the run's file" in said
        code, said = refused(command, "device")
        assert code == 2 and "run.device: expected a device of this machine, got 'cuda:99'" in said
        assert not list(tmp_path.glob("out-*"))
    for command in ("predict", "evaluate"):  # without a configuration in the header the tensors are compared
        code, said = refused(command, "older")
        assert code == 1 and said.startswith(f"maskmill: failed: {copies['older'] / BEST}: expected weights of the")
        assert "(unet, resnet18, from random weights), got 96 tensors that do not fit: encoder.layer1.2." in said


def test_bad_input_is_refused_before_anything_is_written(trained, pairs, tmp_path):
    out, good = tmp_path / "out", ("--benchmark", f"ECSSD={pairs}")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("years of work")
    (tmp_path / "empty").mkdir()
    shutil.copytree(trained, untrained := tmp_path / "untrained")
    (untrained / BEST).unlink()
    for command, said in (
        ((trained, "--benchmark", pairs, "--out", out), "expected NAME=DIR"),
        ((trained, "--benchmark", f"MINE={pairs}", "--out", out), "expected a benchmark among"),
        ((trained, "--benchmark", f"ECSSD={tmp_path / 'no'}", "--out", out), "expected the folders"),
        ((trained, *good, *good, "--out", out), "each set once"),
        ((trained, trained, *good, "--out", out), "expected distinct names"),
        ((tmp_path / "empty", *good, "--out", out), "expected a run folder"),
        ((untrained, *good, "--out", out), "not reached its first validation"),
        ((trained, *good, "--out", tmp_path / "full"), "holds no evaluation"),
    ):
        done = invoke("evaluate", *command)
        assert done.exit_code == 2 and said in done.output and not out.exists(), done.output
    for options, said in (
        (("diffusionseg", "--folder", f"ECSSD={pairs}"), "trains on a dataset"),
        (("unet", "--folder", f"VOC07={pairs}"), "VOC2007"),
        (("unet", "--folder", f"ECSSD={pairs}", "--data", pairs), "one of the two"),
        (("unet",), "one of the two"),
    ):
        done = invoke("train", *options, "--run", out)
        assert done.exit_code == 2 and said in done.output and not out.exists(), done.output


def test_a_run_as_older_code_wrote_it_is_done_where_it_was_and_resumes(trained, pairs, tmp_path):
    """Its fields by their first names, and its folder's layout within the version, in config.json and weights alike."""
    run = shutil.copytree(trained, tmp_path / "tiny")
    uses = (("evaluate", run, "--benchmark", f"ECSSD={pairs}"), ("predict", run, pairs / "images"))
    uses = [(*use, "--out", tmp_path / use[0]) for use in uses]
    assert all(invoke(*use).exit_code == 0 for use in uses)
    content = json.loads((run / "config.json").read_text())
    first = {name: older for older, name in UNetConfig.renamed.items()}

    def older(values: dict) -> dict:
        return {first.get(name, name): value for name, value in values.items()}

    content |= {"config": older(content["config"]), "version": f"{content.pop('layout')}:{content['version']}"}
    (run / "config.json").write_text(json.dumps(content))
    facts = {"segmenter": "unet", "config": json.dumps(older(open_run(run).config.identity()))}
    with safe_open(run / BEST, "numpy") as file:
        facts = file.metadata() | facts
    save_file(load_file(run / BEST), run / BEST, facts)
    evaluated, predicted = (invoke(*use) for use in uses)
    assert "scored 0, before 6, failed 0" in evaluated.output and "Nothing is left to do" in predicted.output
    assert "photos ECSSD:" in evaluated.output
    options = trained.parent / "options.yaml"
    source = ("--folder", f"ECSSD={trained.parent / 'photos'}")
    done = invoke("train", "unet", *source, "--run", run, "--config", options, "--set", "epochs=3")
    assert done.exit_code == 0, done.output
    rows = [(path / "log.jsonl").read_text().splitlines() for path in (trained, run)]
    assert rows[1][: len(rows[0])] == rows[0] and len(rows[1]) == len(rows[0]) + 1
    assert json.loads((run / "config.json").read_text())["layout"] == "ECSSD"


def test_a_folder_whose_files_changed_is_not_gone_on_with(trained):
    photos = trained.parent / "photos"
    for part in ("images", "ground_truth_mask"):
        shutil.copy(photos / part / "p0.png", photos / part / "p9.png")
    done = invoke(
        "train", "unet", "--folder", f"ECSSD={photos}", "--run", trained, "--config", trained.parent / "options.yaml"
    )
    assert done.exit_code == 2 and "holds a run with version" in done.output
