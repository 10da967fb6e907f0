"""The prior: pocket's CLIP names rendered scenes, no CLIP is asked for a class given, and some classes are refused."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from models.backbone.facts import check_backbone
from models.backbone.files import POCKET_FOLDER
from models.backbone.tokens import category_span, load_tokenizer
from models.classes.imagenet import common_categories
from models.clip.categories import categories, categories_of, check_category, prompt_of
from models.clip.model import TEMPLATES, Clip, load_clip
from models.clip.zero_shot import template_texts, zero_shot
from models.config.build import BuildConfig
from models.config.photos import MaskConfig, PriorConfig
from models.pocket.scenes import CLASSES, render

POCKET_PRIOR = PriorConfig(clip="pocket")


def test_pockets_clip_names_rendered_scenes():
    scenes = [render(3, i) for i in range(48)]
    named = categories_of(np.stack([s.image for s in scenes]), "pocket", POCKET_PRIOR, "cpu")
    assert sum(a == s.category for (a, _), s in zip(named, scenes, strict=True)) >= 44
    assert all(1 / len(CLASSES) <= confidence <= 1 for _, confidence in named)


def test_confidences_are_a_distribution_and_the_categorys_is_the_largest():
    images = np.stack([render(3, i).image for i in range(4)])
    clip = load_clip("pocket", "cpu")
    table = zero_shot(clip, clip.encode_images(images), template_texts(clip, CLASSES))
    np.testing.assert_allclose(table.sum(axis=1), 1, rtol=1e-5)
    named = categories_of(images, "pocket", POCKET_PRIOR, "cpu")
    assert named == [(CLASSES[row.argmax()], float(row.max())) for row in table]


class Words:
    """A stand-in that embeds a text as random unit vectors of its own."""

    def encode_text(self, texts: list[str], normalize: bool) -> torch.Tensor:
        generators = (np.random.default_rng([*text.encode()]) for text in texts)
        return torch.nn.functional.normalize(torch.from_numpy(np.stack([g.normal(size=5) for g in generators])), dim=1)


class Tokens(list):
    def to(self, _: object) -> "Tokens":
        return self


def test_a_names_direction_is_the_unit_mean_over_the_templates():
    clip = Clip("words", Words(), Tokens, None, torch.device("cpu"))
    found = template_texts(clip, ("dog", "owl"))
    for name, direction in zip(("a dog", "an owl"), found.double().numpy(), strict=True):
        mean = sum(Words().encode_text([t.format(name)], True)[0].numpy() for t in TEMPLATES)
        np.testing.assert_allclose(direction, mean / np.linalg.norm(mean), rtol=1e-5)


def test_a_class_given_and_no_prior_ask_no_clip(monkeypatch):
    monkeypatch.delattr("models.clip.model.load_clip")
    images = np.zeros((2, 8, 8, 3), np.uint8)
    assert categories_of(images, "pocket", PriorConfig(clip="pocket", category="ball")) == [("ball", None)] * 2
    assert categories_of(images, "pocket", PriorConfig(clip="none")) == [("", None)] * 2
    assert prompt_of("") == "" and prompt_of("owl") == "a photo of an owl"


def test_the_empty_prompt_attends_through_all_tokens_but_the_start():
    tokenizer = load_tokenizer(POCKET_FOLDER)
    assert category_span(tokenizer, "", "") == list(range(1, tokenizer.model_max_length))
    with pytest.raises(ValueError, match="names its category"):
        category_span(tokenizer, "a ball", "")


def test_categories_are_pockets_where_either_model_knows_no_others():
    assert categories("pocket", "pocket") == categories("pocket", "RN50:openai") == CLASSES
    assert categories("some/model", "pocket") == CLASSES
    assert categories("some/model", "RN50:openai") == common_categories()


def test_the_common_categories_are_distinct_words():
    names = common_categories()
    assert 150 <= len(names) <= 250 and len(set(names)) == len(names) and all(n == n.strip().lower() for n in names)
    assert {"dog", "cat", "bird", "car"} <= set(names)


def test_a_class_the_backbone_cannot_be_asked_for_is_refused(tiny_folders):
    check_category("Ball", check_backbone("pocket"))
    with pytest.raises(ValueError, match="pocket.*'dog'.*ball"):
        check_category("dog", check_backbone("pocket"))
    tiny = check_backbone(str(tiny_folders["sd1"]))
    check_category("red dog", tiny)
    with pytest.raises(ValueError, match="shorten"):
        check_category("dog " * 40, tiny)


def test_presets_reach_both_kinds_of_config_as_far_as_they_have_the_fields():
    build, mask = BuildConfig(classes=("ball",), count=1), MaskConfig()
    assert mask.cut == build.cut and mask.prior.clip == build.screen.clip == "pocket"
    assert mask.sampling.top_k == build.sampling.top_k and build.sampling.guidance == 3.0
    assert MaskConfig.model_validate({"cut": {"lambda": 1.0}}).cut == build.cut.model_copy(update={"lambda_": 1.0})
    assert MaskConfig(backbone="some/model").prior.clip == "ViT-B-32:openai"


def test_importing_the_prior_loads_no_torch():
    script = "import models.clip.categories, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
