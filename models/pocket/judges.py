"""pocket's two judges, trained with labels on rendered scenes: they measure sampled images and never screen them.

`maskmill bench pocket` also reports the judges' error on held-out renders, beside every figure that they give.
"""

from functools import cache

import numpy as np
import torch
from torch import nn

from models.backbone.files import POCKET_FOLDER
from models.pocket import networks
from models.pocket.export import load_weights
from models.pocket.inputs import to_tensor
from models.pocket.scenes import CLASSES


@cache
def _load(name: str) -> nn.Module:
    network = {"classifier": networks.classifier, "oracle": networks.Oracle}[name]()
    return load_weights(POCKET_FOLDER, name, network).eval()


@torch.no_grad()
def classify(images: np.ndarray) -> list[str]:
    """The class of each image, (B, 128, 128, 3) uint8."""
    logits = _load("classifier")(to_tensor(images, torch.device("cpu")))
    return [CLASSES[i] for i in logits.argmax(dim=1).tolist()]


@torch.no_grad()
def segment(images: np.ndarray, categories: list[str]) -> np.ndarray:
    """The mask of the named class's object in each image, (B, 128, 128, 3) uint8 -> (B, 128, 128) bool."""
    labels = torch.tensor([CLASSES.index(category) for category in categories])
    return (_load("oracle")(to_tensor(images, torch.device("cpu")), labels) > 0).numpy()
