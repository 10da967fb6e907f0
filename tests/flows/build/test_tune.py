"""Tuning a dataset: the choice, the config, the version; what older datasets cannot change; and what is refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from flows.build import build
from flows.checks.recut import check_recut
from flows.recut import recut
from flows.tune import tune
from maskmill.cli import app
from models.config.build import BuildConfig
from models.config.cut import SEED_SETS, CutConfig
from models.config.overrides import resolve
from models.cut.seeds import refined_sets
from models.errors import UserError
from models.tuning import search as searching
from storage.dataset.reader import open_dataset
from storage.dataset.writer import DatasetWriter
from tests.flows.build.test_build import files_of
from tests.flows.conftest import arrays, changed

PAPER = CutConfig(thresholds="paper", grid="attention")


@pytest.fixture(scope="module")
def pocket() -> BuildConfig:
    """Six samples of pocket under the paper's numbers, which make nearly everything the object."""
    sections = {
        "sampling": {"steps": 4, "top_k": 5},
        "screen": {"clip": "none"},
        "run": {"batch_size": 1, "device": "cpu"},
    }
    config = BuildConfig.model_validate(
        {"classes": ["ball", "star"], "count": 6, "shard_size": 4, "seed": 3} | sections
    )
    return changed(config, cut=PAPER.model_dump())


@pytest.fixture(scope="module")
def sampled(pocket, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("tune") / "dataset"
    build(pocket, out)
    return out


@pytest.fixture
def out(sampled, tmp_path) -> Path:
    return Path(shutil.copytree(sampled, tmp_path / "dataset"))


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Fewer settings."""
    monkeypatch.setattr(searching, "ALPHAS", (1.0, 2.5))
    monkeypatch.setattr(searching, "LAMBDAS", (6.0,))
    monkeypatch.setattr(searching, "AROUND", 1)


def without_sets(path: Path) -> Path:
    """The dataset as older code made it: without r(p) of other seeds."""

    def change(group):
        del group["refined_sets"]
        del group.attrs["seed_sets"]

    with DatasetWriter.reopen(path) as writer:
        writer.edit(change, "As older code")
        writer.publish("As older code", open_dataset(path).statistics)
    return path


def test_it_publishes_better_masks_and_a_config_that_builds_on(out, pocket):
    before = arrays(open_dataset(out))
    record = tune(out, samples=6)
    dataset = open_dataset(out)
    assert (record.before_version, record.version, dataset.version) == ("v1", "v2", "v2")
    assert record.after.score > record.before.score and record.after.outside < record.before.outside
    assert dataset.config["tuned"] and record.changed and all(name.startswith("cut.") for name in record.changed)
    after = arrays(dataset)
    for name in ("image", "class_map", "affinities", "refined_sets", "prompt", "seed"):
        np.testing.assert_array_equal(before[name], after[name], err_msg=name)
    assert "Since v1" in record.report.read_text() and record.picture.stat().st_size > 1000

    config = resolve(BuildConfig, record.config, {"count": 8}, [])
    assert config.tuned and config.identity() == BuildConfig.of_stored(dataset.config).identity() | {}
    assert build(config, out).planned == 8
    np.testing.assert_array_equal(arrays(open_dataset(out))["mask"][:6], after["mask"])

    again = tune(out, samples=6)  # judged by other samples: those of eight
    assert open_dataset(out, again.version).config["tuned"]


def test_a_dry_run_writes_nothing_and_finds_the_same(out):
    before = files_of(out)
    record = tune(out, samples=4, dry_run=True)
    assert files_of(out) == before and record.config is record.report is record.picture is None
    assert tune(out, samples=4).changed == record.changed
    kept = tune(out, samples=4)
    assert kept.changed == {} and kept.version == "v2" and kept.config.exists() and kept.report is None


def test_the_command_says_what_it_chose(out):
    result = CliRunner().invoke(app, ["tune", str(out), "--samples", "4", "--dry-run"])
    assert result.exit_code == 0 and "judged by 4 samples of v1" in result.output
    assert "change    cut." in result.output and "nothing is written" in result.output
    assert "sampling.top_k stays 5" in result.output


def test_an_older_dataset_keeps_its_tau_and_says_so(out):
    without_sets(out)
    record = tune(out, samples=4)
    assert not {"cut.tau", "cut.thresholds", "sampling.top_k"} & record.changed.keys() and record.changed
    assert "cut.tau and cut.thresholds stay 0.16 and paper" in record.fixed
    assert "refined_sets" not in open_dataset(out).group
    assert open_dataset(out).config["cut"]["tau"] == 0.16


def test_an_older_build_resumes_and_extends_without_the_array(out, pocket):
    without_sets(out)
    build(changed(pocket, count=8), out)
    assert "refined_sets" not in open_dataset(out).group and len(open_dataset(out)) == 8


def test_with_kept_attention_k_is_tuned_too(pocket, tmp_path):
    kept = changed(pocket, count=2, sampling={"keep_pooled": True})
    build(kept, tmp_path / "kept")
    assert "refined_sets" not in open_dataset(tmp_path / "kept").group
    record = tune(tmp_path / "kept", samples=2)
    assert record.fixed == "" and record.version == "v2"


@pytest.mark.parametrize("tau", [0.3, 0.7])
def test_a_recut_takes_a_stored_tau(out, pocket, tau):
    with_tau = changed(pocket, cut={"tau": tau})
    recut(with_tau, out)
    dataset = open_dataset(out)
    sets, position = dataset.read("refined_sets"), SEED_SETS.index(tau)
    np.testing.assert_array_equal(dataset.read("refined"), sets[:, position].astype(np.float32))
    other = open_dataset(out, "v1")
    assert not np.array_equal(dataset.read("refined"), other.read("refined"))
    np.testing.assert_array_equal(sets, other.read("refined_sets"))
    recut(changed(with_tau, cut={"lambda_": 2.0}), out)
    np.testing.assert_array_equal(open_dataset(out).read("refined"), dataset.read("refined"))


def test_a_recut_may_go_to_adaptive_thresholds_and_back(out, pocket):
    recut(changed(pocket, cut={"thresholds": "adaptive"}), out)
    sets = open_dataset(out).read("refined_sets")
    np.testing.assert_array_equal(open_dataset(out).read("refined"), sets[:, -1].astype(np.float32))
    recut(pocket, out)
    first, last = open_dataset(out, "v1"), open_dataset(out)
    np.testing.assert_allclose(last.read("refined"), first.read("refined"), rtol=1e-3, atol=1e-7)


def test_another_tau_is_refused_by_name(out, pocket):
    for sections in ({"cut": {"tau": 0.45}}, {"cut": {"tau": 0.0}}):
        with pytest.raises(
            UserError, match="^cut.tau: expected one of 0.16, 0.3, .*adaptive, whose r.* stores, got 0"
        ) as e:
            check_recut(changed(pocket, **sections), out)
        assert "\n" not in str(e.value)
    for sections in ({"cut": {"num_seeds": 9}}, {"sampling": {"top_k": 1}}, {"cut": {"tau": 0.5, "num_seeds": 9}}):
        with pytest.raises(UserError, match="keep_pooled=true"):
            check_recut(changed(pocket, **sections), out)


def test_the_stored_sets_are_those_of_the_attention(pocket, tmp_path):
    for name, keep in (("plain", False), ("kept", True)):
        build(changed(pocket, count=1, sampling={"keep_pooled": keep}), tmp_path / name)
    plain, kept = open_dataset(tmp_path / "plain"), open_dataset(tmp_path / "kept")
    assert plain.seed_sets == SEED_SETS and kept.seed_sets == ()
    expected = refined_sets(kept.read("pooled", 0).astype(np.float32), kept.read("class_map", 0), pocket.cut)
    np.testing.assert_allclose(plain.read("refined_sets", 0), expected, rtol=5e-2, atol=1e-5)


def test_what_cannot_be_tuned_is_refused_before_anything_is_written(out, pocket, tmp_path):
    def refused(path, match, *options):
        before = files_of(path) if path.exists() else None
        result = CliRunner().invoke(app, ["tune", str(path), *options])
        assert result.exit_code == 2 and match in result.output, result.output
        assert result.output.count("\n") == 1
        assert (files_of(path) if path.exists() else None) == before

    refused(tmp_path / "nothing", "nothing")
    refused(out, "--samples: expected 1 or more", "--samples", "0")
    failed = Path(shutil.copytree(out, tmp_path / "failed"))

    def fail(group):
        group["status"][:] = 5

    with DatasetWriter.reopen(failed) as writer:
        writer.edit(fail, "All fail")
        writer.publish("All fail", open_dataset(failed).statistics)
    refused(failed, "no sample has a mask, 6 of 6 failed")

    with DatasetWriter.reopen(out) as writer:
        writer._extend(changed(pocket, count=9).model_dump(mode="json", by_alias=True), 9)
    refused(out, "finish it first")


def test_no_good_setting_is_an_error_and_writes_nothing(out, monkeypatch):
    monkeypatch.setattr(searching, "MIN_SCORE", 1e9)
    before = files_of(out)
    result = CliRunner().invoke(app, ["tune", str(out), "--samples", "3"])
    assert result.exit_code == 1 and "no setting gives good masks of these 3 samples" in result.output
    assert files_of(out) == before and open_dataset(out).version == "v1"


def test_the_config_is_plain_yaml(out):
    record = tune(out, samples=3)
    values = yaml.safe_load(record.config.read_text())
    assert values["tuned"] is True and values == open_dataset(out).config
