"""Zero-shot classification: CLIP's confidence in each of several names, for encoded images.

A photograph's class is chosen with several templates per name (DiffusionSeg, section 3.3); a sample's class is scored
with one caption per name, as in He et al.'s CLIP filter, which DiffusionSeg uses. Knows nothing of which names exist.

Letters: B images, N names, D embedding's width.
"""

from functools import cache

import numpy as np
import torch
from torch.nn import functional as F

from models.classes.names import with_article
from models.clip.model import Clip


@torch.no_grad()
def zero_shot(clip: Clip, embeddings: torch.Tensor, texts: torch.Tensor) -> np.ndarray:
    """Softmax over names at CLIP's logit scale: images (B, D), names (N, D) -> (B, N) float32, rows summing to 1."""
    logits = clip.model.logit_scale.exp() * embeddings @ texts.T
    return logits.softmax(dim=-1).cpu().numpy()


@cache
def caption_texts(clip: Clip, names: tuple[str, ...]) -> torch.Tensor:
    """Embedding of each name in its caption: (N, D) float32."""
    return clip.encode_texts([clip.caption(name) for name in names])


@cache
def template_texts(clip: Clip, names: tuple[str, ...]) -> torch.Tensor:
    """Mean of each name's embeddings over CLIP's templates, normalised to unit length: (N, D) float32."""
    means = [
        clip.encode_texts([template.format(with_article(name)) for template in clip.templates]).mean(dim=0)
        for name in names
    ]
    return F.normalize(torch.stack(means), dim=1)
