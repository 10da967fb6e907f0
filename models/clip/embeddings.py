"""Screening's CLIP for flows, None if there is none. Importing it imports no torch."""

from typing import Any

TEXTS = 256  # texts embedded in one batch


def embedding_width(clip: str, device: str) -> int | None:
    """Width of the image embeddings that screening stores; None if it uses no CLIP."""
    if clip == "none":
        return None
    from models.clip.model import load_clip

    return load_clip(clip, device).width


def text_encoder(clip: str, device: str) -> tuple[str, Any] | None:
    """A CLIP's name and its function from N texts to unit embeddings (N, D) float32; None for 'none'."""
    if clip == "none":
        return None
    import numpy as np

    from models.clip.model import load_clip

    loaded = load_clip(clip, device)
    return loaded.name, lambda texts: np.concatenate(
        [loaded.encode_texts(texts[i : i + TEXTS]).cpu().numpy() for i in range(0, len(texts), TEXTS)]
    )
