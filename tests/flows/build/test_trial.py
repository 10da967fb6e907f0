"""The trial that a build begins with: it stops the build, or leaves no trace in what is built."""

import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.sorting import FlowRunSort
from typer.testing import CliRunner

from flows.build import build, extend
from flows.checks.trial import trial_of
from flows.recut import recut
from maskmill.cli import app
from models import pocket
from models.backbone import sampling
from models.config.build import BuildConfig, TrialConfig
from models.errors import TrialStopped, UserError
from storage.dataset.reader import open_dataset
from tasks.sampling import sample_shard
from tests.flows.build.test_build import files_of
from tests.flows.build.test_kill import is_half_sampled, start, stop_when  # noqa: F401  # start is a fixture
from tests.flows.conftest import assert_equal, changed

STOPS = TrialConfig(samples=3, min_area=0, max_area=0.05)  # the first masks cover 6 % to 11 %
PASSES = TrialConfig(samples=3)
NONE = TrialConfig(samples=0)
LINE = r"^trial: 3 of 3 masks cover less than 0 % or more than 5 % of the picture \(at most 20 % may; median area 9 %"


def stopped(config, out, match=LINE) -> str:
    with pytest.raises(TrialStopped, match=match) as caught:
        build(config, out)
    return str(caught.value)


def test_a_trial_that_passes_leaves_no_trace(config, built, tmp_path, capfd):
    record = build(changed(config, trial=PASSES), tmp_path / "dataset")
    assert (record.version, record.planned) == ("v1", 8)
    assert_equal(tmp_path / "dataset", built)
    dataset = open_dataset(tmp_path / "dataset")
    assert dataset.versions == ("v1",) and dataset.trial is not None and dataset.trial.masks == 3
    assert "maskmill: trial passed: 0 of 3 masks cover" in capfd.readouterr().err


@pytest.mark.slow
def test_a_trial_with_worker_processes_leaves_no_trace(config, built, tmp_path):
    build(changed(config, trial=PASSES, run={"workers": 2}), tmp_path / "dataset")
    assert_equal(tmp_path / "dataset", built)


def test_a_stopped_build_is_that_of_the_trials_samples(config, tmp_path):
    out = tmp_path / "data set"
    line = stopped(changed(config, trial=STOPS), out)
    assert f"look at {out}/report/index.html, run `maskmill tune '{out}'`, or continue with --no-trial" in line
    build(changed(config, count=3), tmp_path / "small")
    assert_equal(out, tmp_path / "small")
    assert open_dataset(out).versions == ("v1",)
    page = (out / "report" / "index.html").read_text()
    assert "The first masks: 3 of 3 masks cover" in page and "maskmill tune " in page


@pytest.fixture(scope="module")
def halted(config, tmp_path_factory) -> Path:
    """A build that its trial stopped; not to be changed."""
    out = tmp_path_factory.mktemp("halted") / "dataset"
    stopped(changed(config, trial=STOPS), out)
    return out


@pytest.fixture
def again(halted, tmp_path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(halted, tmp_path / "again"))


def test_the_same_command_stops_again_and_writes_nothing_to_the_store(config, again):
    before = files_of(again / "repo")
    shorter = STOPS.model_copy(update={"samples": 2})
    for trial in (STOPS, shorter):  # a shorter trial is no way past this one
        stopped(changed(config, trial=trial), again)
    with pytest.raises(TrialStopped, match=LINE):
        extend(again, 4)
    assert files_of(again / "repo") == before


def test_a_stopped_build_continues_without_a_trial(config, built, again):
    record = build(changed(config, trial=NONE), again)
    assert (record.version, record.planned) == ("v2", 8)
    assert_equal(again, built)


def test_a_stopped_build_continues_under_wider_limits(config, built, again):
    build(changed(config, trial=PASSES), again)
    assert_equal(again, built)


def test_a_stopped_build_continues_with_a_tuned_cut(config, again, tmp_path):
    tuned = changed(config, trial=STOPS, tuned=True, cut={"alpha": 0.1})
    stored = changed(config, count=3, trial=STOPS, cut={"alpha": 0.1})
    assert recut(stored, again).version == "v2"
    stopped(changed(stored, count=8), again, match="^trial: [1-3] of 3 masks")  # a cut by hand is judged too
    record = build(tuned, again)
    assert (record.version, record.planned) == ("v3", 8)
    build(changed(tuned, trial=NONE), tmp_path / "at once")
    assert_equal(again, tmp_path / "at once")
    longer = changed(config, count=20, trial=TrialConfig(samples=10), cut={"alpha": 0.1})
    assert (
        trial_of(longer, again) is None and trial_of(longer, tmp_path / "new") is not None
    )  # the store says it is tuned


def test_a_longer_trial_samples_only_what_it_lacks(config, again, tmp_path):
    stopped(changed(config, trial=STOPS.model_copy(update={"samples": 6})), again, match="^trial: 6 of 6 masks")
    assert len(open_dataset(again)) == 6 and open_dataset(again).versions == ("v1", "v2")
    build(changed(config, count=6), tmp_path / "six")
    assert_equal(again, tmp_path / "six")


def test_an_interrupted_trial_resumes_as_a_trial(config, tmp_path, monkeypatch):
    def interrupted(fork, shard, *rest):
        if shard == 1:
            raise OSError("interrupted")
        return sample_shard(fork, shard, *rest)

    limits, out = STOPS.model_copy(update={"samples": 6}), tmp_path / "dataset"  # of two shards
    monkeypatch.setattr("flows.build.sample_shard", interrupted)
    with pytest.raises(OSError, match="interrupted"):
        build(changed(config, trial=limits), out)
    monkeypatch.undo()
    begun = open_dataset(out, "build")
    assert len(begun) == 6 and not begun.versions and is_half_sampled(begun.frame())
    stopped(changed(config, trial=limits), out, match="^trial: 6 of 6 masks")
    build(changed(config, count=6), tmp_path / "six")
    assert_equal(out, tmp_path / "six")


@pytest.mark.slow
def test_a_killed_trial_resumes_as_a_trial(config, start, server_url, tmp_path):  # noqa: F811
    limits = STOPS.model_copy(update={"samples": 6})  # of two shards
    file, out = tmp_path / "config.yaml", tmp_path / "dataset"
    file.write_text(yaml.safe_dump(changed(config, trial=limits).model_dump(mode="json", by_alias=True)))
    stop_when(start(server_url), out, is_half_sampled)
    assert len(open_dataset(out, "build")) == 6 and not open_dataset(out, "build").versions
    stopped(changed(config, trial=limits), out, match="^trial: 6 of 6 masks")
    build(changed(config, count=6), tmp_path / "six")
    assert_equal(out, tmp_path / "six")


def test_a_dataset_no_larger_than_the_trial_is_built_and_judged_when_it_is_extended(config, tmp_path):
    limits = STOPS.model_copy(update={"samples": 4})
    assert build(changed(config, count=4, trial=limits), tmp_path / "dataset").planned == 4
    assert not open_dataset(tmp_path / "dataset").trial.passes
    stopped(changed(config, trial=limits), tmp_path / "dataset", match="^trial: 4 of 4 masks")
    assert len(open_dataset(tmp_path / "dataset", "build")) == 4


def test_a_dataset_begun_past_the_trial_is_not_stopped(config, tmp_path):
    build(changed(config, count=4, trial=NONE), tmp_path / "dataset")
    assert build(changed(config, trial=STOPS), tmp_path / "dataset").planned == 8


def test_a_trial_without_an_image_is_one_line_and_no_version(config, tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "noise", lambda seed, shape: torch.full(shape, torch.nan))
    for _ in range(2):
        with pytest.raises(UserError, match="^trial: none of the first 3 samples is finite.*nothing is published"):
            build(changed(config, trial=STOPS), tmp_path / "dataset")
        assert open_dataset(tmp_path / "dataset", "build").versions == ()
    whole = changed(config, count=2, trial=NONE)  # all of a dataset
    assert build(whole, tmp_path / "failed").failed == 2
    monkeypatch.undo()
    record = build(changed(config, trial=NONE), tmp_path / "dataset")
    assert (record.version, record.planned, record.failed) == ("v1", 8, 3)


def test_prefect_records_the_stop_as_a_failed_run_with_the_line(config, again):
    line = stopped(changed(config, trial=STOPS), again)
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=2)
        artifacts = {artifact.key for artifact in client.read_artifacts()}
    (failed,) = [run for run in runs if run.state.is_failed()]
    assert line in failed.state.message and "trial" in artifacts


def test_the_command_says_what_to_do(config, tmp_path):
    file, out = tmp_path / "config.yaml", tmp_path / "dataset"
    file.write_text(yaml.safe_dump(config.model_dump(mode="json", by_alias=True)))
    options = ["--config", str(file), "--out", str(out), "--set", "trial={samples: 3, min_area: 0, max_area: 0.05}"]
    dry = CliRunner().invoke(app, ["build", *options, "--dry-run"]).output
    assert "\ntrial       the first 3 samples, 38 % of the build; it stops after them if" in dry
    assert "trial" not in CliRunner().invoke(app, ["build", *options, "--dry-run", "--no-trial"]).output
    done = CliRunner().invoke(app, ["build", *options])
    assert done.exit_code == 1 and not done.stdout
    assert done.stderr.splitlines()[-1].startswith("maskmill: trial: 3 of 3 masks cover less than 0 %")
    assert "\ntrial     3 of 3 masks cover" in CliRunner().invoke(app, ["info", str(out)]).output
    done = CliRunner().invoke(app, ["build", *options, "--no-trial"])
    assert done.exit_code == 0 and "planned   8" in done.stdout


def test_a_deployment_may_say_false(config):
    from jsonschema import Draft202012Validator
    from prefect.utilities.callables import parameter_schema

    schema = Draft202012Validator(parameter_schema(build.fn).model_dump_for_openapi())
    values = config.model_dump(mode="json", by_alias=True)
    for trial in (False, True, {"samples": 16}):
        schema.validate({"config": values | {"trial": trial}, "out": "data"})
        assert build.validate_parameters({"config": values | {"trial": trial}, "out": Path("data")})
    assert not schema.is_valid({"config": values | {"trial": "off"}, "out": "data"})


@pytest.fixture
def toy(tmp_path) -> BuildConfig:
    """A build by pocket's weights in a folder of another name, which has neither pocket's preset nor its tuned cut."""
    shutil.copytree(Path(pocket.__file__).parent / "weights", tmp_path / "toy")
    sections = {"sampling": {"steps": 6, "guidance": 3.0, "top_k": 8}, "screen": {"clip": "none"}}
    given = {"backbone": str(tmp_path / "toy"), "classes": ["ball", "star"], "count": 6, "shard_size": 4}
    papers = {"cut": {"tau": 0.16, "alpha": 2.5, "objectness": "sum", "lambda": 0.1}}
    return BuildConfig.model_validate(given | sections | papers | {"trial": {"samples": 4}})


def test_the_papers_numbers_stop_where_pockets_are_missing_and_its_own_continue(toy, tmp_path):
    out, cut = tmp_path / "dataset", BuildConfig(classes=("ball",), count=1).cut
    line = stopped(toy, out, match="^trial: [2-4] of 4 masks cover less than 5 % or more than 70 % of the picture")
    assert int(re.search(r"median area (\d+) %", line)[1]) > 70
    tuned = toy.model_copy(update={"cut": cut, "tuned": True})
    with pytest.raises(UserError, match="another config: cut.affinity_scale"):
        build(tuned, out)
    kept_tau = cut.model_copy(update={"tau": toy.cut.tau})  # without keep_pooled tau stays
    tuned = tuned.model_copy(update={"cut": kept_tau})
    recut(tuned.model_copy(update={"count": 4}), out)
    assert build(tuned, out).planned == 6
