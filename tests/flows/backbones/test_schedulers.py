"""Builds by another scheduler than the paper's: stored, resumed, told in report and card, refused before they begin."""

import json
import shutil

import numpy as np
import pytest
import yaml

from flows.build import build
from flows.export import export
from models.backbone.load import load_backbone
from models.backbone.sampling import sample
from models.config.build import BuildConfig
from models.config.export import ExportConfig
from models.errors import UserError
from storage.dataset.reader import open_dataset
from tests.flows.conftest import arrays, assert_equal, changed, run
from tests.tiny_xl import edit

EULER = {"scheduler": "euler", "spacing": "trailing", "guidance": 0.0, "steps": 3}


@pytest.fixture(scope="module")
def euler(config):
    return changed(config, count=5, sampling=EULER, screen={"min_area": 0.0, "max_area": 1.0, "drop_uncertain": 0.0})


@pytest.fixture(scope="module")
def made(euler, tmp_path_factory):
    out = tmp_path_factory.mktemp("euler") / "dataset"
    build(euler, out)
    return out


def test_the_scheduler_is_stored_and_a_sample_can_be_made_alone(euler, made):
    dataset = open_dataset(made)
    assert dataset.config["sampling"] == dataset.config["sampling"] | EULER
    row, stored = dataset.frame().iloc[4], arrays(dataset)
    backbone = load_backbone(euler.backbone, "cpu")
    (alone,) = sample(backbone, [row["prompt"]], [row["category"]], [int(row["seed"])], euler.sampling, euler.cut)
    np.testing.assert_array_equal(alone.image, stored["image"][4])
    np.testing.assert_array_equal(alone.evidence.affinities, stored["affinities"][4])


def test_batches_of_any_size_give_the_same_dataset(euler, made, tmp_path):
    build(changed(euler, shard_size=3, run={"batch_size": 3}), tmp_path / "dataset")
    found, expected = arrays(open_dataset(tmp_path / "dataset")), arrays(open_dataset(made))
    assert np.abs(found["image"].astype(int) - expected["image"]).max() <= 1
    np.testing.assert_allclose(found["class_map"], expected["class_map"], rtol=1e-2, atol=1e-4)


def test_it_resumes_as_it_was_begun_and_not_otherwise(euler, made, tmp_path):
    out = shutil.copytree(made, tmp_path / "dataset")
    build(euler, out)
    assert_equal(out, made)
    for field, value in {"scheduler": "dpm++", "spacing": None, "guidance": 1.0}.items():
        with pytest.raises(UserError, match=f"sampling.{field} is .* there"):
            build(changed(euler, sampling={field: value}), out)


def test_report_and_card_name_it_but_not_the_papers(made, built, tmp_path):
    assert "3 steps of euler, trailing" in (made / "report" / "index.html").read_text()
    assert "steps of" not in (built / "report" / "index.html").read_text()
    for name, dataset, told in (("euler", made, True), ("paper", built, False)):
        export(ExportConfig(format="folders"), dataset, tmp_path / name)
        assert ("in 3 steps of euler, trailing, and screened" in (tmp_path / name / "README.md").read_text()) is told


def test_a_dataset_without_the_fields_means_the_papers(config):
    """As older code stored it."""
    stored = config.model_dump(mode="json", by_alias=True)
    for field in ("scheduler", "spacing"):
        del stored["sampling"][field]
    assert BuildConfig.of_stored(stored).identity() == config.identity()


@pytest.mark.parametrize("scheduler", ["ddim", "dpm++", "euler"])
@pytest.mark.parametrize(
    "changes, words",
    {
        "no parameters": ({"beta_start": None, "beta_end": None, "beta_schedule": None}, ["lacks beta_start"]),
        "flow matching": ({"_class_name": "FlowMatchEulerDiscreteScheduler"}, ["_class_name", "FlowMatch"]),
        "levels": ({"num_train_timesteps": 500}, ["num_train_timesteps", "500"]),
    }.values(),
)
def test_a_folder_whose_scheduler_is_none_is_refused_and_nothing_is_written(
    config, tmp_path, scheduler, changes, words
):
    folder = shutil.copytree(config.backbone, tmp_path / "folder")
    edit(folder / "scheduler" / "scheduler_config.json", **changes)
    refused = changed(config, backbone=str(folder), sampling={"scheduler": scheduler})
    _is_refused(refused, tmp_path, words)


def test_a_schedule_that_only_this_scheduler_cannot_have_is_refused_too(config, tmp_path):
    folder = shutil.copytree(config.backbone, tmp_path / "folder")
    edit(folder / "scheduler" / "scheduler_config.json", final_sigmas_type="none", rescale_betas_zero_snr=True)
    for sampling, word in (
        ({"scheduler": "euler"}, "final_sigmas_type"),
        ({"scheduler": "dpm++"}, "final_sigmas_type"),
        ({"spacing": "trailing"}, "rescale_betas_zero_snr"),
    ):
        _is_refused(changed(config, backbone=str(folder), sampling=sampling), tmp_path, [word])


def _is_refused(config, tmp_path, words):
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(json.loads(config.model_dump_json(by_alias=True))))
    result = run("build", "--config", file, "--out", tmp_path / "dataset")
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1 and all(word in result.stderr for word in words), result.stderr
    assert not (tmp_path / "dataset").exists()


@pytest.mark.parametrize("assignment", ["scheduler=ddpm", "spacing=even", "guidance=-0.5", "guidance=51"])
def test_what_is_no_scheduler_is_refused_by_its_field(tmp_path, assignment):
    result = run(
        "build", "--classes", "ball", "--count", "2", "--out", tmp_path / "x", "--set", f"sampling.{assignment}"
    )
    assert result.exit_code == 2 and f"sampling.{assignment.partition('=')[0]}" in result.stderr


def test_a_dry_run_says_where_a_model_of_few_steps_is_sampled_as_if_it_were_none(config, tmp_path):
    folder = shutil.copytree(config.backbone, tmp_path / "folder")
    edit(folder / "scheduler" / "scheduler_config.json", timestep_spacing="trailing")
    dry = "build", "--classes", "cat", "--count", "2", "--backbone", folder, "--out", tmp_path / "x", "--dry-run"
    note, named = "has trailing steps", ("--set", "screen.clip=none")
    assert note in run(*dry, *named).output
    for chosen in ("spacing=trailing", "spacing=leading", "scheduler=euler"):
        assert note not in run(*dry, *named, "--set", f"sampling.{chosen}").output


def test_a_dry_run_says_how_it_samples(tmp_path):
    options = ("--set", "sampling.scheduler=dpm++", "--set", "sampling.steps=20", "--set", "sampling.guidance=0")
    result = run("build", "--classes", "ball", "--count", "2", "--out", tmp_path / "x", "--dry-run", *options)
    assert result.exit_code == 0 and "20 steps of dpm++ each, guidance 0" in result.stdout
