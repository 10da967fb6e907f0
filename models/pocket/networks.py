"""pocket's networks and their sizes: Stable Diffusion's parts, a small CLIP, and the two judges.

Only constructors, all with random weights. Knows nothing of training, of files or of scenes' pixels.
"""

from itertools import pairwise

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from open_clip.model import CLIP
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from models.pocket.scenes import CLASSES
from models.pocket.vocabulary import CONTEXT_LENGTH, vocabulary_size

TEXT_WIDTH = 128
CLIP_IMAGE_SIZE = 64


def vae() -> AutoencoderKL:
    """Autoencoder with factor 8 and 4 latent channels like Stable Diffusion's: (B, 3, 128, 128) -> (B, 4, 16, 16)."""
    channels = (16, 32, 64, 96)
    network = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        block_out_channels=channels,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=1,  # groups of two channels would erase an image's mean colour
        sample_size=128,
    )
    return start_as_block_means(network)


@torch.no_grad()
def start_as_block_means(vae: AutoencoderKL) -> AutoencoderKL:
    """Set the initial weights so that the latent is each 8x8 block's mean colour, and decoding repeats it.

    With ordinary initial weights the network learns brightness first and stays grey for thousands of steps. Channels
    0-2 carry RGB and 3-5 its negative through both halves, since SiLU(a) - SiLU(-a) = a; residual branches start at 0.
    """
    for name, parameter in vae.named_parameters():
        if ".conv2." in name or ".to_out." in name:
            parameter.zero_()
    encoder, decoder = vae.encoder, vae.decoder
    signs = torch.eye(3).repeat(2, 1) * torch.tensor([1.0, 1, 1, -1, -1, -1])[:, None]  # (6, 3): RGB and its negative
    _carry(encoder.conv_in, signs)
    for block in encoder.down_blocks:
        for resnet in block.resnets:
            if resnet.conv_shortcut is not None:
                _carry(resnet.conv_shortcut, torch.eye(6))
        for down in block.downsamplers or []:
            _carry(down.conv, torch.eye(6))
            down.conv.weight[:6, :6, :2, :2] = torch.eye(6)[:, :, None, None] / 4
            down.conv.weight[:6, :6, 1, 1] = torch.eye(6) / 4
    _carry(encoder.conv_out, signs.T)
    for convolution in (vae.quant_conv, vae.post_quant_conv):
        _carry(convolution, torch.eye(4)[: convolution.out_channels, :4])
    _carry(decoder.conv_in, signs)
    for block in decoder.up_blocks:
        for resnet in block.resnets:
            if resnet.conv_shortcut is not None:
                _carry(resnet.conv_shortcut, torch.eye(6))
        for up in block.upsamplers or []:
            _carry(up.conv, torch.eye(6))
    _carry(decoder.conv_out, 0.35 * signs.T)  # least squares on rendered scenes
    return vae


def _carry(convolution: torch.nn.Conv2d, matrix: torch.Tensor) -> None:
    """Make the first output channels the given linear mix of the first input channels, at the kernel's centre."""
    rows, columns = matrix.shape
    convolution.weight[:rows] = 0
    convolution.bias[:rows] = 0
    centre = convolution.kernel_size[0] // 2
    convolution.weight[:rows, :columns, centre, centre] = matrix


def unet() -> UNet2DConditionModel:
    """Stable Diffusion's topology: four down blocks, cross-attention in the first three, two layers each."""
    network = UNet2DConditionModel(
        sample_size=16,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        block_out_channels=(64, 96, 128, 128),
        layers_per_block=2,
        attention_head_dim=4,  # the number of heads, as in Stable Diffusion 1.x's configuration
        cross_attention_dim=TEXT_WIDTH,
        norm_num_groups=16,
    )
    return with_quiet_branches(network)


@torch.no_grad()
def with_quiet_branches(network: UNet2DConditionModel) -> UNet2DConditionModel:
    """Start residual branches and the output at zero, as in the original latent diffusion code: it trains faster."""
    for name, parameter in network.named_parameters():
        if ".conv2." in name or ".proj_out." in name or name.startswith("conv_out."):
            parameter.zero_()
    return network


def text_encoder() -> CLIPTextModel:
    """CLIP's text model without hidden layers.

    With them, class identity leaks into EOS and padding tokens, and the class map no longer localises
    (docs/decisions/pocket-text-encoder.md).
    """
    config = CLIPTextConfig(
        vocab_size=vocabulary_size(),
        hidden_size=TEXT_WIDTH,
        intermediate_size=TEXT_WIDTH,
        num_hidden_layers=0,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT_LENGTH,
        projection_dim=TEXT_WIDTH,
        bos_token_id=vocabulary_size() - 2,
        eos_token_id=vocabulary_size() - 1,
        pad_token_id=vocabulary_size() - 1,
    )
    return CLIPTextModel(config)


def scheduler() -> DDIMScheduler:
    """Stable Diffusion's scaled-linear schedule and DDIM settings, with v-prediction as in SD 2.x."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="leading",
    )


CLIP_CONFIG = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": CLIP_IMAGE_SIZE, "layers": [1, 1, 1, 1], "width": 16, "head_width": 64},
    "text_cfg": {
        "context_length": CONTEXT_LENGTH,
        "vocab_size": vocabulary_size(),
        "width": 128,
        "heads": 4,
        "layers": 2,
    },
}


def clip() -> CLIP:
    """A small open_clip model (ResNet image tower at 64x64, two-layer text tower) with pocket's vocabulary."""
    return CLIP(**CLIP_CONFIG)


def classifier() -> nn.Module:
    """Judge: (B, 3, 128, 128) in [-1, 1] -> (B, number of classes) logits."""
    return nn.Sequential(
        _down(3, 24),
        _down(24, 48),
        _down(48, 96),
        _down(96, 128),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(128, len(CLASSES)),
    )


class Oracle(nn.Module):
    """Judge: a class-conditional segmenter, a U-Net of four scales.

    forward: image (B, 3, 128, 128) in [-1, 1] and class index (B,) -> (B, 128, 128) logits.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (16, 32, 64, 96)
        self.embedding = nn.Embedding(len(CLASSES), widths[-1])
        self.stem = _block(3, widths[0])
        self.downs = nn.ModuleList([_down(a, b) for a, b in pairwise(widths)])
        self.ups = nn.ModuleList([_block(b + a, a) for a, b in pairwise(widths)])
        self.head = nn.Conv2d(widths[0], 1, 1)

    def forward(self, image: torch.Tensor, category: torch.Tensor) -> torch.Tensor:
        skips = [self.stem(image)]
        for down in self.downs:
            skips.append(down(skips[-1]))
        x = skips.pop() + self.embedding(category)[:, :, None, None]  # (B, 96, 16, 16)
        for up in reversed(self.ups):
            x = nn.functional.interpolate(x, scale_factor=2, mode="bilinear")
            x = up(torch.cat([x, skips.pop()], dim=1))
        return self.head(x)[:, 0]  # (B, 128, 128)


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.GroupNorm(8, outputs), nn.SiLU())


def _down(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(_block(inputs, outputs, stride=2), _block(outputs, outputs))
