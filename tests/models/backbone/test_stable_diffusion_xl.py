"""Stable Diffusion XL: texts, sizes and latents as in diffusers' own pipeline, layers counted, misfits refused."""

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel

from benchmarks.fullsize import full_size_xl
from models.backbone.ddim import noise
from models.backbone.facts import check_backbone
from models.backbone.load import load_backbone
from models.backbone.sampling import decode, denoise, sample, sample_from
from models.backbone.stable_diffusion_xl import load
from models.backbone.tokens import category_span
from models.backbone.unet.facts import attention_halvings, num_cross, num_middle
from models.config.cut import CutConfig
from models.config.sampling import SamplingConfig
from models.errors import UserError
from tests.models.backbone.test_facts import check_with_odd_values
from tests.tiny_xl import SCHEDULE, UNET, edit, tiny_xl

PROMPTS = ["a cat", "one red box"]
BASE = {"layers_per_block": 2, "transformer_layers_per_block": [1, 2, 10], "attention_head_dim": [5, 10, 20]}
NO_MIDDLE = {"mid_block_type": None, "layers_per_block": 2}
OTHER_BLOCKS = {
    "down_block_types": ("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
}
UNETS = {
    "tiny": {},
    "as SDXL": BASE,
    "as SSD-1B": NO_MIDDLE | {
        "transformer_layers_per_block": [0, [2, 2], [4, 4]],
        "reverse_transformer_layers_per_block": [[4, 4, 10], [2, 1, 1], 1],
    },
    "as Vega": NO_MIDDLE | {
        "transformer_layers_per_block": [0, [1, 1], [2, 2]],
        "reverse_transformer_layers_per_block": [[2, 2, 2], [1, 1, 1], 1],
    },
    "one depth": {"transformer_layers_per_block": 3},
    "uneven": {"layers_per_block": [1, 2, 3], "transformer_layers_per_block": [1, 3, 2]},
    "late": OTHER_BLOCKS,
}  # fmt: skip


@pytest.fixture
def xl(xl_folder):
    return load_backbone(str(xl_folder), "cpu")


@pytest.fixture
def pipeline(xl_folder):
    made = StableDiffusionXLPipeline.from_pretrained(xl_folder, add_watermarker=False)
    made.set_progress_bar_config(disable=True)
    leading = {"timestep_spacing": "leading", "set_alpha_to_one": False, "clip_sample": False}
    made.scheduler = DDIMScheduler.from_config(made.scheduler.config, **leading)
    return made


@pytest.fixture
def copy(xl_folder, tmp_path):
    return shutil.copytree(xl_folder, tmp_path / "copy")


@pytest.mark.parametrize("zeros", [True, False])
@torch.no_grad()
def test_prompts_are_encoded_as_in_diffusers_pipeline(copy, pipeline, zeros):
    """Both encoders' last layer but one, the second's pooled embedding, and zeros where there is no negative prompt."""
    edit(copy / "model_index.json", force_zeros_for_empty_prompt=zeros)
    pipeline.register_to_config(force_zeros_for_empty_prompt=zeros)
    xl = load_backbone(str(copy), "cpu")
    text, none = xl.encode_text(PROMPTS), xl.unconditional().repeated(2)
    expected = pipeline.encode_prompt(PROMPTS, device="cpu")
    for got, other in zip((text.tokens, none.tokens, text.pooled, none.pooled), expected, strict=True):
        torch.testing.assert_close(got, other)
    assert bool(none.tokens.any()) is not zeros and text.tokens.shape == (2, 32, 16 + 24)


def test_the_second_tokenizer_pads_with_another_token(xl):
    """As SDXL's does, with "!"; ids of words, and so the span of a category, are the same."""
    first, second = (
        tokenizer(["a cat"], padding="max_length").input_ids[0] for tokenizer in (xl.tokenizer, xl.tokenizer_2)
    )
    assert first[:4] == second[:4] and set(first[4:]).isdisjoint(second[4:])
    assert category_span(xl.tokenizer, "a cat", "cat") == category_span(xl.tokenizer_2, "a cat", "cat") == [2]


@pytest.mark.parametrize("guidance", [7.5, 5.0, 1.0, 0.0])
@pytest.mark.parametrize("size", [(128, 128), (96, 160)])
def test_sampled_latents_and_images_equal_diffusers_pipeline(xl, pipeline, guidance, size):
    latents = torch.stack([noise(i, (4, size[0] // 8, size[1] // 8)) for i in range(2)])
    asked = {"num_inference_steps": 5, "guidance_scale": guidance, "height": size[0], "width": size[1]}
    expected = pipeline(PROMPTS, latents=latents, output_type="latent", **asked).images
    empty = xl.unconditional().repeated(2) if guidance > 1 else None
    found = denoise(xl, latents, xl.encode_text(PROMPTS), empty, 5, max(1.0, guidance))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    image = pipeline(PROMPTS, latents=latents, output_type="np", **asked).images[1]
    assert np.abs(decode(xl, found[1]) - image).max() <= 1e-3


@pytest.mark.parametrize("zero_snr", [False, True])
def test_v_prediction_equals_diffusers_pipeline(copy, pipeline, zero_snr):
    """As fine-tunes of SDXL have it, with and without a last level of pure noise."""
    edit(copy / "scheduler" / "scheduler_config.json", prediction_type="v_prediction", rescale_betas_zero_snr=zero_snr)
    xl, latents = load_backbone(str(copy), "cpu"), noise(1, (4, 16, 16))[None]
    changes = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": zero_snr}
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, **changes)
    expected = pipeline(
        "a cat", latents=latents, num_inference_steps=5, guidance_scale=5.0, output_type="latent"
    ).images
    found = denoise(xl, latents, xl.encode_text(["a cat"]), xl.unconditional(), 5, 5.0)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "steps, guidance, spacing", [(1, 0.0, "trailing"), (4, 0.0, "trailing"), (4, 2.0, "trailing"), (6, 5.0, "leading")]
)
def test_euler_equals_diffusers_pipeline(xl, pipeline, steps, guidance, spacing):
    """The base's own scheduler, and that of Turbo (1 to 4 steps) and Lightning (2 to 8): trailing, without guidance."""
    latents = torch.stack([noise(i, (4, 16, 16)) for i in range(2)])
    pipeline.scheduler = EulerDiscreteScheduler(**SCHEDULE, timestep_spacing=spacing)
    asked = {"num_inference_steps": steps, "guidance_scale": guidance, "output_type": "np"}
    expected = pipeline(PROMPTS, latents=latents, **asked).images
    sampling = SamplingConfig(steps=steps, guidance=guidance, scheduler="euler", spacing=spacing, top_k=2)
    made = sample_from(xl, latents, PROMPTS, ["cat", "red box"], sampling, CutConfig())
    for i, each in enumerate(made):
        assert each.finite and np.abs(each.image / 255 - expected[i]).max() <= 0.5 / 255 + 1e-3


@torch.no_grad()
def test_the_network_is_told_the_size_of_the_image(xl):
    """The pooled embedding of the prompt, then original size, corner of the crop and target size, each as sinusoids."""
    seen, text = [], xl.encode_text(PROMPTS)
    hook = xl.unet.add_embedding.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    xl.predict(torch.zeros(2, 4, 16, 24), 500, text)
    hook.remove()
    assert torch.equal(seen[0][:, :12], text.pooled)
    expected = xl.unet.add_time_proj(torch.tensor([128, 192, 0, 0, 128, 192])).flatten()
    assert torch.equal(seen[0][:, 12:], expected.expand(2, -1))


@pytest.mark.parametrize("changes", UNETS.values(), ids=UNETS)
def test_attention_layers_are_counted_and_placed_as_the_unet_has_them(xl, changes):
    with torch.device("meta"):
        unet = UNet2DConditionModel(**UNET | changes)
    config = json.loads(unet.to_json_string())
    names = [name for name in unet.attn_processors if ".attn2." in name]
    assert num_cross(config) == len(names)
    assert num_middle(config) == sum("mid_block" in name for name in names)
    blocks = [int(name.split(".")[1]) for name in names if name.startswith("down")]
    assert attention_halvings(config) == min(blocks)


@pytest.mark.parametrize("changes", [UNETS["as SSD-1B"], OTHER_BLOCKS], ids=["as SSD-1B", "late"])
def test_smaller_and_other_unets_are_sampled(tmp_path, changes):
    backbone = load_backbone(str(tiny_xl(tmp_path, changes)), "cpu")
    seen = []
    with backbone.watch_attention(1, lambda layer, query, *_: seen.append((layer, query.shape[2]))), torch.no_grad():
        backbone.predict(noise(0, (4, 16, 16))[None], 1, backbone.encode_text(["a cat"]))
    assert sum(layer.is_cross for layer, _ in seen) == backbone.facts.num_cross
    assert {(16 >> layer.halvings) ** 2 == cells for layer, cells in seen} == {True}
    finest = min(layer.halvings for layer, _ in seen)
    assert backbone.facts.attention_grid((16, 24)) == (16 >> finest, 24 >> finest)


@pytest.mark.parametrize(
    "force_upcast, dtype, expected",
    [
        (True, "float16", "float32"),
        (False, "float16", "float16"),
        (True, "bfloat16", "bfloat16"),
        (None, "float16", "float32"),
    ],
)
def test_the_vae_is_in_float32_where_it_overflows_in_float16(copy, force_upcast, dtype, expected):
    edit(copy / "vae" / "config.json", force_upcast=force_upcast)
    if force_upcast is None:  # diffusers' default
        config = json.loads((copy / "vae" / "config.json").read_text())
        del config["force_upcast"]
        (copy / "vae" / "config.json").write_text(json.dumps(config))
    backbone = load(check_backbone(str(copy)), "cpu", dtype)
    assert backbone.vae.dtype == getattr(torch, expected)
    assert {net.dtype for net in (backbone.unet, backbone.text_encoder, backbone.text_encoder_2)} == {backbone.dtype}
    assert backbone.encode(torch.zeros(1, 3, 32, 32)).dtype == torch.float32


REFUSED = {
    "inpainting": ("unet/config.json", {"in_channels": 9}, "in_channels: expected 4, got 9"),
    "refiner": ("model_index.json", {"text_encoder": [None, None]}, "without a text_encoder, as SDXL's refiner"),
    "aesthetics": ("model_index.json", {"requires_aesthetics_score": True}, "requires an aesthetics score"),
    "an old unet": ("unet/config.json", {"addition_embed_type": None}, "addition_embed_type: expected text_time"),
    "other width": ("unet/config.json", {"cross_attention_dim": 24}, "cross_attention_dim: expected 40, got 24"),
    "LCM": ("unet/config.json", {"time_cond_proj_dim": 256}, "time_cond_proj_dim: expected None, got 256"),
    "other sizes": ("unet/config.json", {"addition_time_embed_dim": 4}, "input_dim: expected 36, got 60"),
    "Kolors": ("unet/config.json", {"encoder_hid_dim_type": "text_proj"}, "encoder_hid_dim_type"),
    "Playground 2.5": ("vae/config.json", {"latents_mean": [0.0] * 4}, "latents_mean"),
    "a tiny VAE": ("vae/config.json", {"_class_name": "AutoencoderTiny"}, "expected AutoencoderKL"),
    "EDM": ("scheduler/scheduler_config.json", {"_class_name": "EDMEulerScheduler"}, "levels follow from betas"),
    "flow": ("scheduler/scheduler_config.json", {"_class_name": "FlowMatchEulerScheduler"}, "follow from betas"),
    "T5": ("text_encoder_2/config.json", {"model_type": "t5"}, "text_encoder_2/config.json: model_type"),
    "SD 1.x's name": ("model_index.json", {"_class_name": "StableDiffusionPipeline"}, "with a text_encoder_2"),
    "its class": ("model_index.json", {"_class_name": "StableDiffusionXLImg2ImgPipeline"}, "got a StableDiff"),
}  # fmt: skip


@pytest.mark.parametrize("file, changes, words", REFUSED.values(), ids=REFUSED)
def test_what_is_no_base_is_refused_in_one_line(copy, file, changes, words):
    edit(copy / file, **changes)
    with pytest.raises(UserError, match=words) as error:
        check_backbone(str(copy))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "file", ["text_encoder_2/model.safetensors", "text_encoder_2/config.json", "tokenizer_2/tokenizer.json"]
)
def test_a_missing_file_of_the_second_text_is_named(copy, file):
    (copy / file).unlink()
    with pytest.raises(UserError, match=f"{file} is missing"):
        check_backbone(str(copy))


def test_tokenizers_that_number_words_otherwise_are_refused(copy):
    file = copy / "tokenizer_2" / "tokenizer.json"
    content = json.loads(file.read_text())
    vocab = content["model"]["vocab"]
    vocab["b"], vocab["c"] = vocab["c"], vocab["b"]
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match="tokenizer_2/: expected the vocabulary"):
        check_backbone(str(copy))


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder_2", "model_index"])
def test_json_of_any_content_gives_facts_or_one_line(copy, part):
    file = copy / "model_index.json" if part == "model_index" else copy / part / "config.json"
    check_with_odd_values(copy, file)


@pytest.mark.slow
def test_full_size(tmp_path):
    """SDXL base as published, with random weights, a guided step at 256x256: layers, evidence, the pipeline's image."""
    folder = full_size_xl(tmp_path / "sdxl")
    facts = check_backbone(str(folder))
    assert (facts.image_size, facts.latent_size, facts.num_cross, facts.num_middle) == ((1024,) * 2, (128,) * 2, 70, 10)
    assert facts.attention_grid(facts.latent_size) == (64, 64) and facts.cross_width == 2048
    xl = load(facts, "cpu", "bfloat16")
    shutil.rmtree(folder)  # 7 GB
    assert sum(p.numel() for p in xl.unet.parameters()) == 2_567_463_684
    seen, config = {}, SamplingConfig(steps=1, guidance=5.0, height=256, width=256, keep_pooled=True)
    watch = lambda layer, query, key, _: seen.update({layer: (query.shape[1:], key.shape[2])})  # noqa: E731
    with xl.watch_attention(1, watch):
        (made,) = sample(xl, ["a red box"], ["red box"], [0], config, CutConfig())
    assert len(seen) == 140 and sum(layer.is_cross for layer in seen) == 70
    for layer, ((heads, cells, width), keys) in seen.items():
        assert (heads, cells, width) == {1: (10, 16**2, 64), 2: (20, 8**2, 64)}[layer.halvings], layer
        assert keys == (77 if layer.is_cross else cells)
    assert sum(layer.halvings == 1 for layer in seen) == 20
    assert made.finite and made.layer_maps.shape == (70, 16, 16) and made.evidence.affinities.shape == (4, 16, 16)
    scheduler = DDIMScheduler(**SCHEDULE, set_alpha_to_one=False, clip_sample=False)
    pipeline = StableDiffusionXLPipeline(
        xl.vae,
        xl.text_encoder,
        xl.text_encoder_2,
        xl.tokenizer,
        xl.tokenizer_2,
        xl.unet,
        scheduler,
        add_watermarker=False,
    )
    latents = noise(0, (4, 32, 32))[None]
    asked = {"num_inference_steps": 1, "guidance_scale": 5.0, "height": 256, "width": 256, "output_type": "np"}
    image = pipeline("a red box", latents=latents.bfloat16(), **asked).images[0]
    assert np.abs(made.image / 255 - image).mean() <= 0.02
