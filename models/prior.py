"""The class a photo is taken to show: zero-shot by CLIP over common categories (DiffusionSeg, section 3.3).

The paper merges ImageNet's labels where they are alike (poodle and Chihuahua are dogs) and writes each into several
templates. Its list is not published; models/imagenet.py has ours, pocket's classes are its own. Knows nothing of
inversion. Importing it imports no torch.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.backbone import category_span, load_tokenizer
from models.config import PriorConfig
from models.imagenet import common_categories
from models.pocket import scenes

if TYPE_CHECKING:
    import torch

    from models.clip import Clip

TEMPLATES = (
    "a photo of {}.",
    "a picture of {}.",
    "a close-up photo of {}.",
    "a cropped photo of {}.",
    "a bright photo of {}.",
    "a dark photo of {}.",
    "a photo of {} in its surroundings.",
)
POCKET_TEMPLATES = ("a photo of {}", "a picture of {}")  # pocket's CLIP has read no other


def candidates(backbone: str, clip: str) -> tuple[str, ...]:
    """The categories a photo's is chosen among: pocket's classes where either model knows no others."""
    return scenes.CLASSES if "pocket" in (backbone, clip) else common_categories()


def prompt_of(category: str) -> str:
    """What a photo is inverted and reconstructed under; of the empty category, the empty prompt."""
    return f"a photo of {_with_article(category)}" if category else ""


def check_category(category: str | None, backbone: str, folder: Path) -> None:
    """ValueError for a category of `--class` that the backbone in `folder` cannot be asked for."""
    if category is None:
        return
    if backbone == "pocket" and category.lower() not in scenes.CLASSES:
        raise ValueError(
            f"prior.category: the pocket backbone does not know {category!r}; it knows {', '.join(scenes.CLASSES)}. "
            "Choose among these, or name another --backbone"
        )
    category_span(load_tokenizer(folder), prompt_of(category), category)


def categories_of(
    images: np.ndarray, backbone: str, prior: PriorConfig, device: str = "auto"
) -> list[tuple[str, float | None]]:
    """Category of each image and CLIP's confidence in it, None where CLIP was not asked.

    images: (B, H, W, 3) uint8. The category is '' where there is no prior: the paper's ablation with the empty prompt.
    """
    if prior.category is not None or prior.clip == "none":
        return [(prior.category or "", None)] * len(images)
    from models.clip import load_clip

    names = candidates(backbone, prior.clip)
    scores = zero_shot(load_clip(prior.clip, device, "prior.clip"), images, names)
    return [(names[i], float(row[i])) for i, row in zip(scores.argmax(axis=1), scores, strict=True)]


def zero_shot(clip: "Clip", images: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """(B, H, W, 3) uint8 -> (B, names) float32, rows summing to 1: softmax over names at CLIP's logit scale."""
    logits = clip.model.logit_scale.detach().exp() * clip.encode_images(images) @ text_directions(clip, names).T
    return logits.softmax(dim=-1).cpu().numpy()


@cache
def text_directions(clip: "Clip", names: tuple[str, ...]) -> "torch.Tensor":
    """Mean of each name's text embeddings over the templates, brought back to unit length: (names, D) float32."""
    import torch
    from torch.nn import functional

    templates = POCKET_TEMPLATES if clip.name == "pocket" else TEMPLATES
    means = [clip.encode_texts([t.format(_with_article(name)) for t in templates]).mean(dim=0) for name in names]
    return functional.normalize(torch.stack(means), dim=1)


def _with_article(name: str) -> str:
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
