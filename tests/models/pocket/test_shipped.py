"""The weights that ship: there, small enough, and doing on a few held-out renders what they are for."""

import json

import numpy as np

from benchmarks.masks.cut import iou
from models.backbone.facts import check_backbone
from models.backbone.files import POCKET_FOLDER
from models.backbone.inversion import invert, reconstruct_with_capture
from models.backbone.load import load_backbone
from models.clip.categories import categories
from models.clip.model import load_clip
from models.clip.zero_shot import caption_texts, zero_shot
from models.config.build import BuildConfig
from models.cut.attentioncut import cut
from models.pocket import judges
from models.pocket.export import MAX_BYTES
from models.pocket.scenes import CLASSES, render

SCENES = [render(2, i) for i in range(24)]
IMAGES = np.stack([scene.image for scene in SCENES])
CATEGORIES = [scene.category for scene in SCENES]


def test_the_folder_is_a_backbone_of_at_most_40_mb_with_a_card() -> None:
    assert check_backbone("pocket").image_size == (128, 128)
    assert sum(file.stat().st_size for file in POCKET_FOLDER.rglob("*") if file.is_file()) <= MAX_BYTES
    command = json.loads((POCKET_FOLDER / "training.json").read_text())["command"]
    assert command in (POCKET_FOLDER / "README.md").read_text()


def test_small_clip_and_classifier_name_renders() -> None:
    clip, names = load_clip("pocket", "cpu"), categories("pocket", "pocket", CLASSES)
    scores = zero_shot(clip, clip.encode_images(IMAGES), caption_texts(clip, names))
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
