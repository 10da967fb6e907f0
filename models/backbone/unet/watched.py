"""A loaded UNet2DConditionModel and its AutoencoderKL as any family has them: latents, and layers that are watched.

Importing it imports no torch. Knows nothing of a family's texts, files or pipelines. Letters as in
models/backbone/protocol.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.backbone.protocol import (
    AttentionLayer,
    BackboneFacts,
    Blocks,
    FeatureLayer,
    OnAttention,
    OnFeatures,
)

if TYPE_CHECKING:
    import torch
    from transformers import CLIPTokenizer


@dataclass(frozen=True, eq=False)
class UNetBackbone:
    """The part of `models.backbone.protocol.Backbone` that a UNet and an AutoencoderKL give in any family."""

    facts: BackboneFacts
    vae: Any
    unet: Any
    tokenizer: "CLIPTokenizer"
    alpha_bar: "torch.Tensor"
    device: "torch.device"
    dtype: "torch.dtype"

    def encode(self, images: "torch.Tensor") -> "torch.Tensor":
        from models.backbone.vae import encoded

        return encoded(self.vae, images)

    def decode(self, latents: "torch.Tensor") -> "torch.Tensor":
        from models.backbone.vae import decoded

        return decoded(self.vae, latents)

    @contextmanager
    def watch_attention(self, batch: int, watch: OnAttention) -> Iterator[None]:
        processors = dict(self.unet.attn_processors)
        self.unet.set_attn_processor(
            {name: _Watched(self._attention_layer(name), inner, batch, watch) for name, inner in processors.items()}
        )
        try:
            yield
        finally:
            self.unet.set_attn_processor(processors)

    def _attention_layer(self, processor: str) -> AttentionLayer:
        """The layer of a processor's name, as `up_blocks.1.attentions.0.transformer_blocks.0.attn2.processor`."""
        name, halvings = processor.removesuffix(".processor"), len(self.unet.up_blocks) - 1  # those of the middle
        group, number, *_ = name.split(".")
        if group != "mid_block":
            halvings = int(number) if group == "down_blocks" else halvings - int(number)
        return AttentionLayer(name, halvings, is_cross=".attn2" in name)

    def feature_layers(self, blocks: Blocks) -> list[FeatureLayer]:
        return [layer for layer, _ in feature_modules(self.unet, blocks)]

    @contextmanager
    def watch_features(self, batch: int, blocks: Blocks, watch: OnFeatures) -> Iterator[None]:
        def hook_of(layer: FeatureLayer) -> Any:
            return lambda module, args, output: watch(layer, output[0][-batch:])

        hooks = [module.register_forward_hook(hook_of(layer)) for layer, module in feature_modules(self.unet, blocks)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def feature_modules(unet: Any, blocks: Blocks) -> list[tuple[FeatureLayer, Any]]:
    """The Transformer2DModels whose outputs, after proj_out and the residual, are the features.

    The encoder has as many per resolution as DiffusionSeg names, two in Stable Diffusion. The decoder has one more; its
    first, the one farthest from the output, is left out.
    """
    encoder = blocks == "encoder"
    prefix, group = ("down_blocks", unet.down_blocks) if encoder else ("up_blocks", unet.up_blocks)
    layers = []
    for i, block in enumerate(group):
        halvings = i if encoder else len(group) - 1 - i
        for j, module in enumerate(getattr(block, "attentions", [])):
            if encoder or j > 0:
                layer = FeatureLayer(f"{prefix}.{i}.attentions.{j}", halvings, module.out_channels)
                layers.append((layer, module))
    return layers


class _Watched:
    """A processor that calls `watch` and then the layer's original processor, so the output does not change."""

    def __init__(self, layer: AttentionLayer, inner: Any, batch: int, watch: OnAttention):
        self.layer, self.inner, self.batch, self.watch = layer, inner, batch, watch

    def __call__(
        self,
        attn: Any,
        hidden_states: "torch.Tensor",
        encoder_hidden_states: "torch.Tensor | None" = None,
        attention_mask: "torch.Tensor | None" = None,
        temb: "torch.Tensor | None" = None,
    ) -> "torch.Tensor":
        assert attention_mask is None, "attention masks are not supported while attention is recorded"
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query = attn.to_q(hidden_states[-self.batch :]).unflatten(2, (attn.heads, -1)).transpose(1, 2)
        key = attn.to_k(source[-self.batch :]).unflatten(2, (attn.heads, -1)).transpose(1, 2)
        self.watch(self.layer, query, key, attn.scale)
        return self.inner(attn, hidden_states, encoder_hidden_states, attention_mask, temb)
