"""Builds of a hub id: the commit that a dataset stays with, and downloads that break off before anything is written."""

import shutil

import pytest
import yaml
from typer.testing import CliRunner

from flows.build import build, extend
from maskmill.cli import app
from models.backbone.facts import check_backbone
from models.config.build import BuildConfig
from models.config.export import ExportConfig
from models.errors import UserError
from storage.dataset.reader import open_dataset
from storage.exports.plan import plan_export
from tests.flows.conftest import assert_equal, changed
from tests.hub import Repository, ask, commit_hash, serving

NAME = "someone/something"


@pytest.fixture
def hub(monkeypatch, tmp_path, tiny_folders):
    """A hub with one repository, of one commit."""
    first = shutil.copytree(tiny_folders["sd1"], tmp_path / "first")
    (first / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    with serving() as hub:
        hub.repositories[NAME] = Repository([first], branches={"fixed": 0})
        ask(monkeypatch, hub.url, tmp_path / "cache")
        yield hub


@pytest.fixture
def small(config):
    return changed(config, backbone=NAME, count=2, shard_size=2, screen={"min_area": 0.0, "max_area": 1.0})


def publish_another(hub, tmp_path, tiny_folders):
    """The hub's main branch moves to other networks, and the user's cache is emptied."""
    newer = shutil.copytree(tiny_folders["sd2"], tmp_path / "newer")
    shutil.copy(tmp_path / "first" / "model_index.json", newer)
    hub.repositories[NAME].commits.append(newer)
    shutil.rmtree(tmp_path / "cache")


def test_a_dataset_stays_with_the_commit_it_began_with(hub, small, tmp_path, tiny_folders):
    out, alone = tmp_path / "dataset", tmp_path / "alone"
    build(small, out)
    data = open_dataset(out)
    assert data.backbone_commit == commit_hash(0) and data.config["revision"] is None
    publish_another(hub, tmp_path, tiny_folders)
    assert check_backbone(NAME).commit == commit_hash(1)
    extend(out, 2)
    assert open_dataset(out).backbone_commit == commit_hash(0)
    build(changed(small, count=4, revision=commit_hash(0)), alone)
    assert_equal(out, alone)


def test_a_revision_is_compared_and_its_commit_may_be_named(hub, small, tmp_path):
    out = tmp_path / "dataset"
    build(small, out)
    again = build(changed(small, revision=commit_hash(0)), out)
    assert again.version == "v1"
    with pytest.raises(UserError, match="revision is absent there") as error:
        build(changed(small, revision="fixed"), out)
    assert "\n" not in str(error.value)
    named = tmp_path / "named"
    build(changed(small, revision="fixed"), named)
    assert open_dataset(named).backbone_commit == commit_hash(0)
    for revision in ("fixed", None):
        assert build(changed(small, revision=revision), named).version == "v1"
    assert open_dataset(named).config["revision"] == "fixed"


def test_an_export_names_the_commit_that_builds_it_again(hub, small, tmp_path):
    all_kept = {"min_area": 0.0, "max_area": 1.0, "drop_uncertain": 0.0, "max_border": 1.0, "max_components": 1000}
    build(changed(small, count=4, screen=all_kept), tmp_path / "dataset")
    plan = plan_export(open_dataset(tmp_path / "dataset"), ExportConfig(format="coco"), "0")
    assert plan.config["revision"] == commit_hash(0)
    assert BuildConfig.of_stored(plan.config).revision == commit_hash(0)


def test_a_dry_run_fetches_no_weights_and_counts_them(hub, small, tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(small.model_dump(mode="json", by_alias=True)))
    shown = CliRunner().invoke(app, ["build", "--config", str(file), "--out", str(tmp_path / "out"), "--dry-run"])
    assert shown.exit_code == 0, shown.output
    assert not hub.weights_sent() and not (tmp_path / "out").exists()
    assert "weights " in shown.output and "weights 0 " not in shown.output


def test_a_download_that_breaks_off_leaves_nothing_behind(hub, small, tmp_path):
    out = tmp_path / "out"
    hub.failing.add("unet/diffusion_pytorch_model.safetensors")
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(small.model_dump(mode="json", by_alias=True)))
    shown = CliRunner().invoke(app, ["build", "--config", str(file), "--out", str(out)])
    assert shown.exit_code == 2 and shown.stderr.count("\n") == 1 and "could not be downloaded" in shown.stderr
    with pytest.raises(UserError, match="could not be downloaded"):
        build(small, out)
    assert not out.exists()
    hub.failing.clear()
    assert build(small, out).planned == 2
