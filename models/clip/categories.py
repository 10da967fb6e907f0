"""The categories that an image's class is chosen among, and the class that a photograph is taken to show.

The paper merges ImageNet's labels where they are alike (poodle and Chihuahua are dogs) and writes each into several
templates (DiffusionSeg, section 3.3). Its list is not published; models/classes/imagenet.py has ours, pocket's classes
are its own. Knows nothing of inversion. Importing it imports no torch.
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
    """What a confidence is a softmax over: all that the backbone is asked for, however few a dataset's classes.

    The classes that either was taught where it knows no others, as pocket and its CLIP; else the common categories, and
    those of `classes` not among them.
    """
    little = taught(backbone) or taught(clip)
    known = little.classes if little else common_categories()
    lowered = {category.lower() for category in known}
    return (*known, *(category for category in classes if category.lower() not in lowered))


def prompt_of(category: str) -> str:
    """What a photo is inverted and reconstructed under; of the empty category, the empty prompt."""
    return f"a photo of {with_article(category)}" if category else ""


def check_category(category: str | None, facts: BackboneFacts) -> None:
    """UserError for a category of `--class` that the backbone cannot be asked for."""
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
