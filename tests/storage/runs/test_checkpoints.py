"""Run folders: a round trip of weights and states, and a line for each way in which one cannot be used."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.segmenters.diffusionseg.config import DiffusionSegConfig
from models.segmenters.registry import segmenter_of
from storage.runs.checkpoints import Log, load_segmenter, load_state, save_checkpoint
from storage.runs.folder import BEST, FILE, check_run, create_run, open_run, weights_facts
from storage.sources import Source

SHAPES = Source(path=Path("data/shapes").resolve(), version="v3")


@pytest.fixture
def config(tiny_folders):
    return DiffusionSegConfig.model_validate(
        {
            "backbone": str(tiny_folders["sd1"]),
            "prior": {"clip": "none"},
            "steps": 1,
            "widths": (4, 4),
            "run": {"device": "cpu"},
        }
    )


@pytest.fixture
def run(tmp_path, config):
    return create_run(tmp_path / "run", config, SHAPES, 40)


def state_of(network: torch.nn.Module, step: int) -> dict:
    return {"model": network.state_dict(), "optimiser": {}, "step": step, "best": 0.5, "stale": 0}


def test_a_run_says_what_it_was_trained_with_and_on(run, config):
    again = open_run(run.path)
    assert again == run and again.config == config
    assert (again.source.path, again.source.version) == (Path("data/shapes").resolve(), "v3")


def test_the_best_weights_predict_and_the_last_state_is_gone_on_from(run):
    best, last = segmenter_of(run.config), segmenter_of(run.config.model_copy(update={"seed": 1}))
    assert load_state(run, last.network) is None
    save_checkpoint(run, state_of(best.network, 4), True)
    save_checkpoint(run, state_of(last.network, 5), False)
    loaded, state = load_segmenter(run.path, "cpu"), load_state(run, last.network)
    assert state is not None and state["step"] == 5 and not loaded.network.training
    for name, value in best.network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], value)
    assert not all(torch.equal(v, best.network.state_dict()[k]) for k, v in state["model"].items())
    assert not list(run.path.glob("*.partial"))


def test_an_averages_weights_are_the_best_ones_where_there_is_one(run):
    own, average = segmenter_of(run.config), segmenter_of(run.config.model_copy(update={"seed": 1}))
    save_checkpoint(run, state_of(own.network, 4) | {"average": average.network.state_dict()}, True)
    for name, value in load_file(run.path / BEST).items():
        assert torch.equal(average.network.state_dict()[name], value)


def test_what_is_no_run_is_refused(tmp_path, run):
    with pytest.raises(ValueError, match="expected a run folder"):
        load_segmenter(tmp_path / "nothing")
    with pytest.raises(ValueError, match="not reached its first validation"):
        load_segmenter(run.path)
    (run.path / FILE).write_text('{"config": {"segmenter": "telepathy"}, "data": "d", "version": "v1"}')
    with pytest.raises(ValueError, match="telepathy"):
        open_run(run.path)
    (run.path / FILE).write_text("not json")
    with pytest.raises(ValueError, match="not the configuration of a run"):
        open_run(run.path)


def test_weights_of_another_segmenter_or_another_width_are_refused(run):
    network = segmenter_of(run.config).network
    save_checkpoint(run, state_of(network, 1), True)
    save_file(load_file(run.path / BEST), run.path / BEST, metadata={"segmenter": "diffdis"})
    with pytest.raises(ValueError, match="expected weights of diffusionseg, found those of diffdis"):
        load_segmenter(run.path, "cpu")
    wider = segmenter_of(run.config.model_copy(update={"widths": (8, 4)})).network
    save_checkpoint(run, state_of(wider, 1), True)
    with pytest.raises(ValueError, match=r"layers.0.weight is \(8, .* not \(4, "):
        load_segmenter(run.path, "cpu")
    (run.path / BEST).write_bytes(b"half a fi")
    with pytest.raises(ValueError, match="cannot be read"):
        load_segmenter(run.path, "cpu")


def test_weights_say_which_configuration_they_were_trained_with(run, tmp_path):
    """Also where the tensors fit, as with other steps; a run made before they said so is as it was."""
    save_checkpoint(run, state_of(segmenter_of(run.config).network, 1), True)
    facts = weights_facts(run)
    other = create_run(tmp_path / "other", run.config.model_copy(update={"steps": 2}), run.source, 40)
    shutil.copy(run.path / BEST, other.path / BEST)
    with pytest.raises(ValueError, match=r"safetensors: expected .* with steps 1 where 2 is in config.json; restore"):
        load_segmenter(other.path, "cpu")
    longer = create_run(run.path, run.config.model_copy(update={"epochs": 99}), run.source, 40)
    assert weights_facts(longer) == facts
    older = {name: facts[name] for name in ("segmenter", "step", "score")}
    save_file(load_file(run.path / BEST), run.path / BEST, metadata=older)
    assert weights_facts(run) == facts
    load_segmenter(run.path, "cpu")
    save_file(
        load_file(run.path / BEST), run.path / BEST, metadata=older | {"config": '{"segmenter": "unet", "no": 1}'}
    )
    with pytest.raises(ValueError, match=r"cannot be read \(no: no such field; check its spelling\)"):
        weights_facts(run)


def test_a_folder_holds_one_run(tmp_path, run):
    longer = run.config.model_copy(update={"epochs": 99, "patience": 3, "cache": False})
    check_run(run.path, longer, run.source)
    with pytest.raises(ValueError, match="learning_rate 0.001 where 0.1 is requested"):
        check_run(run.path, run.config.model_copy(update={"learning_rate": 0.1}), run.source)
    with pytest.raises(ValueError, match="version 'v3' where 'v4'"):
        check_run(run.path, run.config, run.source.model_copy(update={"version": "v4"}))
    other = tmp_path / "other"
    other.mkdir()
    check_run(other, run.config, run.source)
    (other / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="holds no run"):
        check_run(other, run.config, run.source)


def test_a_resumed_log_holds_each_step_once(run):
    log = Log(run, 0)
    for step in (50, 60, 100):
        log({"step": step, "loss": 1 / step})
    with log.path.open("a") as file:
        file.write('{"step": 15')
    Log(run, 60)({"step": 100, "loss": 0.5})
    rows = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert [row["step"] for row in rows] == [50, 60, 100] and rows[-1]["loss"] == 0.5
