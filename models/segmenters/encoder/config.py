"""How the DiffusionSeg decoder is trained on a frozen encoder's features. Imports no torch."""

from typing import Any, Literal

from pydantic import Field

from models.config.training import DecoderConfig, Weights, weights_label


class EncoderConfig(DecoderConfig):
    """The DiffusionSeg decoder on the features of a frozen pre-trained encoder, such as DINO, MoCo or CLIP."""

    segmenter: Literal["encoder"] = Field("encoder", description="name of the segmenter")
    encoder: str = Field(
        "timm:vit_small_patch16_224.dino",
        pattern=r"^(timm:[^:]+|open_clip:[^:]+(:[^:]+)?)$",
        description="a model of timm, as in 'timm:resnet50', or of open_clip, as in 'open_clip:ViT-B-32:openai'",
    )
    weights: Weights = Field(
        "pretrained", description="'pretrained', downloaded by the encoder's name; a file; or 'random'"
    )
    layers: int = Field(
        3, ge=1, description="number of last blocks of a ViT, or last strides of a ResNet, that give the features"
    )

    def label(self) -> str:
        return f"{self.segmenter}, {self.encoder}, {weights_label(self.weights)}"

    def fetch_weights(self) -> None:
        from models.segmenters.encoders import load_encoder

        load_encoder(self.encoder, self.weights, self.layers, self.seed, self.run.device)

    def features(self) -> dict[str, Any]:
        return {"encoder": self.encoder, "layers": self.layers}
