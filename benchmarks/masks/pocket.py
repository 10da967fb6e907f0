"""Quality of pocket: its parts on held-out renders with exact truth, and AttentionCut on inverted and sampled images.

Everything is measured before screening. On sampled images the truth is only the judges' estimate; the same table has
the judges' error on renders.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.masks.cut import iou
from models.backbone.inversion import encode, invert, reconstruct_with_capture
from models.backbone.load import load_backbone
from models.backbone.protocol import Backbone
from models.backbone.sampling import Sampled, decode, sample_batched
from models.clip.model import load_clip
from models.clip.zero_shot import caption_texts, zero_shot
from models.config.build import BuildConfig
from models.cut.attentioncut import cut
from models.pocket import judges
from models.pocket.scenes import CLASSES, Scene, render
from models.prompts.grammar import Grammar

HELD_OUT_SEED = 2  # training scenes are of seed 0
BATCH = 25
BARS = {
    "VAE PSNR, dB": 28.0,
    "CLIP accuracy": 0.97,
    "classifier accuracy": 0.97,
    "oracle IoU": 0.95,
    "AttentionCut IoU, inverted renders": 0.85,
    "classifier recognises sampled class": 0.90,
    "AttentionCut IoU against oracle, sampled": 0.80,
}


def run(count: int = 500) -> dict[str, Any]:
    """Measure on `count` held-out renders and as many samples; returns the figures and the bars."""
    backbone = load_backbone("pocket")
    config = BuildConfig(classes=CLASSES, count=count, seed=HELD_OUT_SEED)
    scenes = [render(HELD_OUT_SEED, i) for i in tqdm(range(count), desc="rendering", unit="img")]
    figures = on_renders(backbone, scenes) | on_inverted(backbone, scenes, config) | on_samples(backbone, config)
    return {"count": count, "figures": figures, "bars": BARS}


def on_renders(backbone: Backbone, scenes: list[Scene]) -> dict[str, float]:
    """VAE, small CLIP and judges against exact truth."""
    psnr, clip_right, class_right, ious = [], [], [], []
    clip = load_clip("pocket")
    for part in batches(scenes, "renders"):
        images = np.stack([scene.image for scene in part])
        categories = [scene.category for scene in part]
        error = np.stack([decode(backbone, latent) for latent in encode(backbone, images)]) - images / 255
        psnr += list(-10 * np.log10((error**2).mean(axis=(1, 2, 3))))
        best = zero_shot(clip, clip.encode_images(images), caption_texts(clip, CLASSES)).argmax(axis=1)
        clip_right += [CLASSES[i] == category for i, category in zip(best, categories, strict=True)]
        class_right += [a == b for a, b in zip(judges.classify(images), categories, strict=True)]
        ious += [iou(m, s.mask) for m, s in zip(judges.segment(images, categories), part, strict=True)]
    return {
        "VAE PSNR, dB": mean(psnr),
        "CLIP accuracy": mean(clip_right),
        "classifier accuracy": mean(class_right),
        "oracle IoU": mean(ious),
    }


def on_inverted(backbone: Backbone, scenes: list[Scene], config: BuildConfig) -> dict[str, float]:
    """AttentionCut of DDIM-inverted renders against the exact mask."""
    scores: list[tuple[Scene, float]] = []
    for part in batches(scenes, "inverted"):
        captions = [scene.caption for scene in part]
        latents = invert(backbone, np.stack([scene.image for scene in part]), captions, config.sampling.steps)
        categories = [scene.category for scene in part]
        samples = reconstruct_with_capture(backbone, latents, captions, categories, config.sampling, config.cut)
        for scene, sample in zip(part, samples, strict=True):
            scores.append((scene, iou(cut(scene.image, sample.evidence, config.cut).mask, scene.mask)))
    name = "AttentionCut IoU, inverted renders"
    return {
        name: mean([value for _, value in scores]),
        **by(scores, lambda s: "easy" if s.difficulty == "easy" else "hard", name),
        **by(scores, lambda s: s.difficulty, name),
        **by(scores, lambda s: s.category, name),
    }


def on_samples(backbone: Backbone, config: BuildConfig) -> dict[str, float]:
    """Sampled images judged by classifier and oracle."""
    recognised, ious = [], []
    grammar = Grammar.of(config, backbone.facts.taught)
    for part in batches([grammar.plan(i) for i in range(config.count)], "sampled"):
        prompts, categories, seeds = zip(*((s.prompt, s.category, s.seed) for s in part), strict=True)
        samples: list[Sampled] = sample_batched(
            backbone, list(prompts), list(categories), list(seeds), config.sampling, config.cut, BATCH
        )
        images = np.stack([sample.image for sample in samples])
        recognised += [a == b for a, b in zip(judges.classify(images), categories, strict=True)]
        judged = judges.segment(images, list(categories))
        ious += [iou(cut(e.image, e.evidence, config.cut).mask, m) for e, m in zip(samples, judged, strict=True)]
    return {
        "classifier recognises sampled class": mean(recognised),
        "AttentionCut IoU against oracle, sampled": mean(ious),
    }


def batches(items: list[Any], name: str) -> Any:
    """Batches of BATCH items with a progress bar."""
    with tqdm(total=len(items), desc=name, unit="img") as bar:
        for start in range(0, len(items), BATCH):
            part = items[start : start + BATCH]
            yield part
            bar.update(len(part))


def by(scores: list[tuple[Scene, float]], key: Callable[[Scene], str], name: str) -> dict[str, float]:
    """Mean of each group, named 'name: group'."""
    groups = sorted({key(scene) for scene, _ in scores})
    return {f"{name}: {group}": mean([v for s, v in scores if key(s) == group]) for group in groups}


def mean(values: list[Any]) -> float:
    """Mean with four decimals."""
    return round(float(np.mean(values)), 4)
