"""Layers of choices: the upper one wins leaf by leaf, and an assignment is a path and a YAML value."""

import copy

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from models.config import base
from models.config.build import BuildConfig
from models.config.overrides import parse_assignment, resolve
from models.config.run import RunConfig
from models.errors import UserError
from models.mappings import overlaid
from models.segmenters.smp.config import UNetConfig
from models.segmenters.sod_diffusion.config import SodDiffusionConfig

names = st.text("abcde_", min_size=1, max_size=3)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
trees = st.recursive(
    st.dictionaries(names, scalars, max_size=3), lambda t: st.dictionaries(names, t | scalars, max_size=3), max_leaves=8
)


def leaves(tree: dict, path: tuple = ()) -> dict:
    found = {}
    for name, value in tree.items():
        found |= leaves(value, (*path, name)) if isinstance(value, dict) and value else {(*path, name): value}
    return found


@given(trees, trees)
def test_the_upper_layer_wins_leaf_by_leaf(below, above):
    before = copy.deepcopy((below, above))
    result = leaves(overlaid(below, above))
    assert (below, above) == before
    upper, lower = leaves(above), leaves(below)
    for path, value in upper.items():
        assert result.get(path) == value or value == {}
    for path, value in result.items():
        assert path in upper or lower[path] == value


@given(trees)
def test_an_empty_layer_changes_nothing(tree):
    assert overlaid(tree, {}) == tree == overlaid({}, tree)


@given(st.lists(names, min_size=1, max_size=4), scalars | st.lists(scalars, max_size=3))
def test_an_assignment_is_a_path_and_a_yaml_value(path, value):
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf")).removesuffix("...\n")
    nested = parse_assignment(f"{'.'.join(path)}={text}")
    for part in path:
        assert list(nested) == [part]
        nested = nested[part]
    assert nested == value


@pytest.mark.parametrize("text", ["", "alpha", "=1", ".a=1", "a.=1", "a..b=1", "a=[1", "a={"])
def test_what_is_no_assignment_is_refused(text):
    with pytest.raises(ValueError, match="--set"):
        parse_assignment(text)


def test_later_layers_win_and_the_backbones_preset_lies_below_all(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("classes: [ball]\ncount: 3\ncut: {alpha: 1.5}\nsampling: {steps: 9}\n")
    config = resolve(BuildConfig, file, {"count": 5, "seed": None}, ["sampling.steps=8", "sampling.steps=7"])
    assert (config.count, config.seed, config.sampling.steps, config.cut.alpha) == (5, 0, 7, 1.5)
    preset = BuildConfig(classes=("ball",), count=1)
    assert config.cut.lambda_ == preset.cut.lambda_ and config.sampling.guidance == preset.sampling.guidance
    assert resolve(BuildConfig, file, {"backbone": "a/b"}, []).sampling.guidance == 7.5


def test_every_wrong_field_is_named_in_one_line():
    with pytest.raises(ValueError) as error:
        resolve(BuildConfig, None, {"classes": ["ball", "Ball"], "count": 0}, ["cut.tua=1", "screen.min_area=-1"])
    message = str(error.value)
    assert "\n" not in message
    assert all(word in message for word in ("ball named more than once", "count:", "cut.tua", "screen.min_area"))


def test_a_key_written_twice_and_endless_nesting_are_refused(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("classes: [ball]\ncount: 3\ncount: 4\n")
    with pytest.raises(ValueError, match="count: written more than once"):
        resolve(BuildConfig, file, {}, [])
    file.write_text("[" * 5000)
    with pytest.raises(ValueError, match="config.yaml"):
        resolve(BuildConfig, file, {}, [])


@pytest.mark.parametrize("address", ["tcp://10.0.0.1:8786", "localhost:8786", "tls://[::1]:8786/"])
def test_addresses_of_schedulers_are_taken(address):
    assert resolve(RunConfig, None, {"address": address}, []).address == address


def test_an_older_name_of_a_field_is_accepted_and_said_once(caplog):
    """Where a file of ours has it, nothing is said; where both are given, it is an error."""
    base._warned.clear()
    stored = UNetConfig.model_validate({"accumulate": 2, "clip": 1.0}, context=base.STORED)
    assert stored.gradient_accumulation_steps == 2 and stored.max_grad_norm == 1.0 and not caplog.records
    for _ in range(2):
        assert resolve(UNetConfig, None, {}, ["warm_up=3"]).warmup_steps == 3
    assert [record.getMessage() for record in caplog.records] == [
        "maskmill: warm_up is now called warmup_steps; the older name works for one more release"
    ]
    with pytest.raises(UserError, match="warm_up: is an older name of warmup_steps, and both are given"):
        resolve(UNetConfig, None, {}, ["warm_up=3", "warmup_steps=3"])


def test_an_identity_leaves_out_what_is_marked_in_sections_too():
    build = BuildConfig(classes=("ball",), count=1, backbone="some/model")
    assert not {"count", "run"} & build.identity().keys()
    assert build.identity()["prompts"].keys() == {"source", "model", "per_class"}
    longer = build.model_copy(update={"count": 9, "prompts": build.prompts.model_copy(update={"timeout": 1.0})})
    assert longer.identity() == build.identity()
    other = build.model_copy(update={"cut": build.cut.model_copy(update={"lambda_": 1.0})})
    assert other.identity() != build.identity() and "lambda" in build.identity()["cut"]
    assert "steps" not in SodDiffusionConfig().identity() and "steps" in SodDiffusionConfig().predicts_by()
