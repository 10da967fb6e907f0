"""The plan of a sample: follows from (dataset seed, index) alone, in balanced rounds, and names its category."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.backbone.facts import check_backbone, taught
from models.backbone.protocol import BackboneFacts
from models.config.build import BuildConfig
from models.pocket import scenes
from models.prompts.grammar import Grammar, Planned
from models.prompts.grammar import check_classes as check

words = st.text("abcdefghijklmnop", min_size=1, max_size=6)
classes = st.lists(words, min_size=1, max_size=6, unique=True)
indices = st.integers(0, 10**6)
seeds = st.integers(0, 2**32 - 1)


def config_of(names, seed=0, **more) -> BuildConfig:
    return BuildConfig(classes=tuple(names), seed=seed, **({"count": 1, "backbone": "a/b"} | more))


def plan(config: BuildConfig, index: int) -> Planned:
    return Grammar.of(config, taught(config.backbone)).plan(index)


def check_classes(config: BuildConfig, facts: BackboneFacts) -> None:
    check(Grammar.of(config, facts.taught), facts, config.screen.clip)


@given(classes, seeds, indices)
def test_a_plan_follows_from_seed_and_index_alone(names, seed, index):
    first = plan(config_of(names, seed), index)
    larger = config_of(names, seed, count=10**6, shard_size=7, cut={"alpha": 9.0}, run={"batch_size": 3})
    assert plan(larger, index) == first
    assert first.index == index and 0 <= first.seed < 2**63


@given(classes, seeds, indices)
def test_the_prompt_names_its_category(names, seed, index):
    planned = plan(config_of(names, seed), index)
    assert planned.category in names and planned.category in planned.prompt.split(",")[0].split()


@given(st.sampled_from(scenes.CLASSES), seeds, indices)
def test_pockets_prompts_name_their_category(name, seed, index):
    assert name in plan(config_of([name], seed, backbone="pocket"), index).prompt


@given(words, seeds, indices)
def test_own_templates_are_used(name, seed, index):
    templates = ("the {category}!", "{category} and {category}")
    prompt = plan(config_of([name], seed, templates=templates), index).prompt
    assert prompt in {f"the {name}!", f"{name} and {name}"}


@given(classes, seeds, st.integers(0, 1000))
def test_classes_are_balanced_in_rounds(names, seed, round_):
    config, k = config_of(names, seed), len(names)
    assert sorted(plan(config, round_ * k + i).category for i in range(k)) == sorted(names)


def test_samples_differ_in_prompt_and_noise_and_so_do_datasets():
    one, other = ([plan(config_of(["cat", "dog"], seed), i) for i in range(200)] for seed in (0, 1))
    assert len({p.seed for p in one + other}) == 400
    assert len({p.prompt for p in one}) > 150
    assert np.mean([a.prompt == b.prompt for a, b in zip(one, other, strict=True)]) < 0.1
    assert [p.category for p in one] != [p.category for p in other]


def test_classes_that_pocket_was_never_shown_are_refused(tiny_folders):
    pocket, other = check_backbone("pocket"), check_backbone(str(tiny_folders["sd1"]))
    check_classes(config_of(["Ball", "star"], backbone="pocket"), pocket)
    with pytest.raises(ValueError, match="does not know cat; it knows"):
        check_classes(config_of(["ball", "cat"], backbone="pocket"), pocket)
    with pytest.raises(ValueError, match=r"screen\.clip"):
        check_classes(config_of(["ball", "cat"], screen={"clip": "pocket"}), other)
    check_classes(config_of(["ball", "cat"]), other)
