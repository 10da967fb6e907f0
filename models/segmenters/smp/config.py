"""How the networks of segmentation_models_pytorch are trained. Imports no torch."""

from typing import Literal

from pydantic import Field

from models.config.training import TrainConfig

Encoder = Literal["resnet18", "resnet34", "resnet50", "resnet101"]


class BaselineConfig(TrainConfig):
    """A network of segmentation_models_pytorch, trained from random weights on images of one square size."""

    encoder: Encoder = Field(description="the network's encoder")
    encoder_weights: Literal["random"] = Field("random", description="the encoder's initial weights; always random")
    size: int = Field(
        256, ge=64, le=2048, multiple_of=32, description="side in pixels of the square to which images are resized"
    )
    flips: bool = Field(True, description="mirror each training image with probability 0.5")

    def label(self) -> str:
        return f"{self.segmenter}, {self.encoder}, from {self.encoder_weights} weights"


class UNetConfig(BaselineConfig):
    """UNet (arXiv 1505.04597) with a residual encoder."""

    segmenter: Literal["unet"] = Field("unet", description="name of the segmenter")
    encoder: Encoder = Field("resnet34", description="the network's encoder")


class DeepLabV3Config(BaselineConfig):
    """DeepLabV3 (arXiv 1706.05587)."""

    segmenter: Literal["deeplabv3"] = Field("deeplabv3", description="name of the segmenter")
    encoder: Encoder = Field("resnet50", description="the network's encoder")
