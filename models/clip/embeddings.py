"""Screening's CLIP as a flow asks for it, where there may be none. Importing it imports no torch."""

from typing import Any

TEXTS = 256  # embedded at once


def embedding_width(clip: str, device: str) -> int | None:
    """Width of the image embeddings that screening stores; None where it uses no CLIP."""
    if clip == "none":
        return None
    from models.clip.model import load_clip

    return load_clip(clip, device).width


def text_encoder(clip: str, device: str) -> tuple[str, Any] | None:
    """A CLIP by name, and its unit embeddings of texts, (N,) -> (N, D) float32; None where there is none."""
    if clip == "none":
        return None
    import numpy as np

    from models.clip.model import load_clip

    loaded = load_clip(clip, device)
    return loaded.name, lambda texts: np.concatenate(
        [loaded.encode_texts(texts[i : i + TEXTS]).cpu().numpy() for i in range(0, len(texts), TEXTS)]
    )
