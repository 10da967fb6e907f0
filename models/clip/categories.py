"""The categories among which CLIP chooses, and the class that a photograph is assumed to show.

The paper merges similar labels of ImageNet (poodle and Chihuahua are dogs) and inserts each into several templates
(DiffusionSeg, section 3.3). Its list is not published; models/classes/imagenet.py has ours, and pocket has its own
classes. Knows nothing of inversion. Importing it imports no torch.
"""

import numpy as np

from models.backbone.facts import taught
from models.backbone.protocol import BackboneFacts
from models.backbone.tokens import category_span, load_tokenizer
from models.classes.imagenet import common_categories
from models.classes.names import with_article
from models.config.photos import PriorConfig
from models.errors import UserError


def categories(backbone: str, clip: str, classes: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The names over which CLIP's softmax is computed, even if a dataset has only some of them as classes.

    If the backbone or the CLIP knows only a fixed list of classes, as pocket does, that list; else the common
    categories and those of `classes` that are not among them.
    """
    fixed = taught(backbone) or taught(clip)
    known = fixed.classes if fixed else common_categories()
    lowered = {category.lower() for category in known}
    return (*known, *(category for category in classes if category.lower() not in lowered))


def prompt_of(category: str) -> str:
    """The prompt with which a photo is inverted and reconstructed; the empty prompt for the empty category."""
    return f"a photo of {with_article(category)}" if category else ""


def check_category(category: str | None, facts: BackboneFacts) -> None:
    """UserError if the backbone does not know the category given by `--class`, or cannot read it in a prompt."""
    if category is None:
        return
    if facts.taught is not None and category.lower() not in facts.taught.classes:
        raise UserError(
            f"prior.category: the {facts.name} backbone does not know {category!r}; it knows "
            f"{', '.join(facts.taught.classes)}. Choose among these, or name another --backbone"
        )
    category_span(load_tokenizer(facts.folder), prompt_of(category), category)


def categories_of(
    images: np.ndarray, backbone: str, prior: PriorConfig, device: str = "auto"
) -> list[tuple[str, float | None]]:
    """Category of each image and CLIP's confidence in it, None if CLIP is not used.

    images: (B, H, W, 3) uint8. The category is '' if there is no prior: the paper's ablation with the empty prompt.
    """
    if prior.category is not None or prior.clip == "none":
        return [(prior.category or "", None)] * len(images)
    from models.clip.model import load_clip
    from models.clip.zero_shot import template_texts, zero_shot

    clip, names = load_clip(prior.clip, device, "prior.clip"), categories(backbone, prior.clip)
    scores = zero_shot(clip, clip.encode_images(images), template_texts(clip, names))
    return [(names[i], float(row[i])) for i, row in zip(scores.argmax(axis=1), scores, strict=True)]
