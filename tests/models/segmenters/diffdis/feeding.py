"""What tests give a tiny DiffDIS network, and a configuration that leaves samples as they are."""

import torch

PLAIN = {"cutmix": False, "augment": "none"}


def inputs(count: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images' latents, repeated, and noise for `count` masks and edges; their levels. The images' halves are alike."""
    torch.manual_seed(3)
    rgb = torch.randn(count // 2, 4, 8, 8)
    return rgb.repeat(2, 1, 1, 1), torch.randn(count, 4, 8, 8), torch.full((count,), 999)


def run_network(own, rgb, noisy, t, labels=None):
    labels = own.labels.repeat_interleave(len(rgb) // 2, 0) if labels is None and own.labels is not None else labels
    return own.network(rgb, noisy, t, own.context.expand(len(rgb), -1, -1), labels)
