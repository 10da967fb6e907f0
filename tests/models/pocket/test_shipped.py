"""The weights that ship: there, small enough, and doing on a few held-out renders what they are for."""

import json

import numpy as np

from benchmarks.cut import iou
from models.attentioncut import cut
from models.backbone import POCKET, check_backbone, load_backbone
from models.clip import candidates, confidences, load_clip
from models.config import BuildConfig
from models.inversion import invert, reconstruct_with_capture
from models.pocket import judges
from models.pocket.export import MAX_BYTES
from models.pocket.scenes import CLASSES, render

SCENES = [render(2, i) for i in range(24)]
IMAGES = np.stack([scene.image for scene in SCENES])
CATEGORIES = [scene.category for scene in SCENES]


def test_the_folder_is_a_backbone_of_at_most_40_mb_with_a_card() -> None:
    assert check_backbone("pocket").image_size == (128, 128)
    assert sum(file.stat().st_size for file in POCKET.rglob("*") if file.is_file()) <= MAX_BYTES
    command = json.loads((POCKET / "training.json").read_text())["command"]
    assert command in (POCKET / "README.md").read_text()


def test_small_clip_and_classifier_name_renders() -> None:
    scores = confidences(load_clip("pocket", "cpu"), IMAGES, candidates("pocket", "pocket", CLASSES))
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
    named = [CLASSES[i] for i in scores.argmax(axis=1)]
    assert np.mean([a == b for a, b in zip(named, CATEGORIES, strict=True)]) > 0.8
    assert np.mean([a == b for a, b in zip(judges.classify(IMAGES), CATEGORIES, strict=True)]) > 0.8


def test_attention_finds_the_captioned_object_in_inverted_renders() -> None:
    backbone = load_backbone("pocket", "cpu", "float32")
    config = BuildConfig.model_validate({"classes": list(CLASSES), "count": 8, "sampling": {"steps": 10}})
    captions = [scene.caption for scene in SCENES[:8]]
    latents = invert(backbone, IMAGES[:8], captions, 10)
    made = reconstruct_with_capture(backbone, latents, captions, CATEGORIES[:8], config.sampling, config.cut)
    found = [iou(cut(s.image, m.evidence, config.cut).mask, s.mask) for s, m in zip(SCENES, made, strict=False)]
    assert np.mean(found) > 0.6
