"""The categories that an image's class is chosen among, and the class that a photograph is taken to show.

The paper merges ImageNet's labels where they are alike (poodle and Chihuahua are dogs) and writes each into several
templates (DiffusionSeg, section 3.3). Its list is not published; models/classes/imagenet.py has ours, pocket's classes
are its own. Knows nothing of inversion. Importing it imports no torch.
"""

from pathlib import Path

import numpy as np

from models.backbone.tokens import category_span, load_tokenizer
from models.classes.imagenet import common_categories
from models.classes.names import with_article
from models.config.backbone import is_pocket
from models.config.photos import PriorConfig
from models.errors import UserError
from models.pocket import scenes


def categories(backbone: str, clip: str, classes: tuple[str, ...] = ()) -> tuple[str, ...]:
    """What a confidence is a softmax over: all that the backbone is asked for, however few a dataset's classes.

    pocket's classes where it or its CLIP is used; else the common categories, and those of `classes` not among them.
    """
    known = scenes.CLASSES if is_pocket(backbone) or is_pocket(clip) else common_categories()
    lowered = {category.lower() for category in known}
    return (*known, *(category for category in classes if category.lower() not in lowered))


def prompt_of(category: str) -> str:
    """What a photo is inverted and reconstructed under; of the empty category, the empty prompt."""
    return f"a photo of {with_article(category)}" if category else ""


def check_category(category: str | None, backbone: str, folder: Path) -> None:
    """UserError for a category of `--class` that the backbone in `folder` cannot be asked for."""
    if category is None:
        return
    if is_pocket(backbone) and category.lower() not in scenes.CLASSES:
        raise UserError(
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
    from models.clip.model import load_clip
    from models.clip.zero_shot import template_texts, zero_shot

    clip, names = load_clip(prior.clip, device, "prior.clip"), categories(backbone, prior.clip)
    scores = zero_shot(clip, clip.encode_images(images), template_texts(clip, names))
    return [(names[i], float(row[i])) for i, row in zip(scores.argmax(axis=1), scores, strict=True)]
