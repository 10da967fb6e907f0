"""Tell a network's weights from others: by a digest of their values, or in words by the tensors that do not fit.

Knows nothing of files, nor of what the networks do.
"""

from collections.abc import Mapping

import torch
from torch import nn

from models import digests


def digest_of(*networks: nn.Module) -> str:
    """Tells frozen weights from others, wherever they were read from: 16 hex digits of all names and values."""
    values = (item for network in networks for item in network.state_dict().items())
    return digests.of_all(
        part for name, value in values for part in (name.encode(), value.cpu().reshape(-1).view(torch.uint8).numpy())
    )


def misfits(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> list[str]:
    """Each tensor by whose name or shape `found` differs from a network's state, in words; empty where none does."""
    shapes, own = ({name: tuple(value.shape) for name, value in each.items()} for each in (found, expected))
    missing = [f"{name} is missing" for name in own if name not in shapes]
    other = [f"{n} is {shapes[n]}, not {own[n]}" for n in own if n in shapes and shapes[n] != own[n]]
    return missing + other + [f"{name} is one too many" for name in shapes if name not in own]
