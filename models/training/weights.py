"""Identify a network's weights by a digest, and describe tensors that do not fit a network.

Knows nothing of files or of what the networks do.
"""

from collections.abc import Mapping

import torch
from torch import nn

from models import digests


def digest_of(*networks: nn.Module) -> str:
    """A digest of networks' weights, independent of their file: 16 hex digits of all names and values."""
    values = (item for network in networks for item in network.state_dict().items())
    return digests.of_all(
        part for name, value in values for part in (name.encode(), value.cpu().reshape(-1).view(torch.uint8).numpy())
    )


def misfits(state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> list[str]:
    """Describes each tensor whose name or shape differs between `state` and a network's state; empty if none does."""
    shapes, wanted = ({name: tuple(value.shape) for name, value in tensors.items()} for tensors in (state, expected))
    missing = [f"{name} is missing" for name in wanted if name not in shapes]
    reshaped = [f"{n} is {shapes[n]}, not {wanted[n]}" for n in wanted if n in shapes and shapes[n] != wanted[n]]
    return missing + reshaped + [f"{name} is unexpected" for name in shapes if name not in wanted]
