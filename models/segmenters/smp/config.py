"""How the networks of segmentation_models_pytorch are trained. Imports no torch."""

from typing import Literal

from pydantic import Field

from models.config.training import Facts, TrainConfig, TrainingSet
from models.errors import UserError

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

    def check(self, facts: Facts | None, training: TrainingSet | None) -> None:
        """UserError if some batch has one sample: its pooled features are 1 x 1, and are normalised over the batch."""
        super().check(facts, training)
        if training is None or (smallest := training.smallest_batch(self.batch_size)) > 1:
            return
        processes = f" on each of {training.processes} processes" if training.processes > 1 else ""
        raise UserError(
            f"batch_size: expected at least 2 samples in each batch, as {self.segmenter} needs for its batch "
            f"normalisation, got {smallest} (batch_size {self.batch_size}, {training.samples} training samples"
            f"{processes}); raise it, give more samples, or train unet"
        )
