"""The inputs of pocket's networks: images as tensors, blurred, mirrored and reduced, and texts as token ids.

Knows nothing of losses or of weights. Letters: B batch; images are uint8 outside, and float in [-1, 1] for a network.
"""

import numpy as np
import torch
from torch.nn import functional as F
from transformers import CLIPTokenizer


def to_tensor(images: np.ndarray, device: torch.device) -> torch.Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32 in [-1, 1]."""
    return torch.from_numpy(np.array(images)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def mirrored(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Mirror each image with probability 0.5; no caption mentions left or right."""
    mirror = torch.from_numpy(rng.random(len(image)) < 0.5).to(image.device)
    return torch.where(mirror[:, None, None, None], image.flip(-1), image)


def softened(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Blur each image with probability 0.5 by a 3x3 mean, because decoded samples are softer than renders."""
    blurred = F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), 3, 1)
    pick = torch.from_numpy(rng.random(len(image)) < 0.5).to(image.device)
    return torch.where(pick[:, None, None, None], blurred, image)


def clip_input(image: torch.Tensor) -> torch.Tensor:
    """(B, 3, H, W) in [-1, 1] -> (B, 3, 64, 64) in the same range, area-averaged."""
    return F.interpolate(image, size=(64, 64), mode="area")


def short_caption(category: str) -> str:
    """A caption with only the class, as in a CLIP template or for `--class`."""
    return f"a {'photo' if len(category) % 2 else 'picture'} of {'an' if category[0] in 'aeiou' else 'a'} {category}"


def token_ids(tokenizer: CLIPTokenizer, texts: list[str]) -> torch.Tensor:
    """Token ids of N texts, padded and truncated to the tokenizer's length L: (N, L) int64."""
    return tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
