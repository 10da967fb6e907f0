"""CLIP by open_clip: a tag's weights run with the activation they were trained with."""

import json

import numpy as np
import open_clip
import torch

from models.classes.imagenet import common_categories
from models.clip.categories import categories
from models.clip.model import load_clip
from models.pocket.scenes import CLASSES

TINY = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
}


def test_weights_trained_with_quickgelu_run_with_it(tmp_path, monkeypatch):
    """A tag under the plain architecture, and its file under the one with QuickGELU, give the same embeddings."""
    for name, more in (("tiny-clip", {}), ("tiny-clip-quickgelu", {"quick_gelu": True})):
        (tmp_path / f"{name}.json").write_text(json.dumps(TINY | more))
        open_clip.add_model_config(tmp_path / f"{name}.json")
    torch.manual_seed(7)
    model = open_clip.create_model("tiny-clip")
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 3  # away from 0, where the two activations agree
    file = tmp_path / "weights.pt"
    torch.save(model.state_dict(), file)
    tags = {"quick": {"file": str(file), "quick_gelu": True}, "plain": {"file": str(file)}}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny-clip", tags)

    images = np.random.default_rng(7).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    names = ("tiny-clip:quick", "tiny-clip:plain", f"tiny-clip-quickgelu:{file}")
    clips = [load_clip(name, "cpu") for name in names]
    for quick, plain, known in (
        [clip.encode_images(images) for clip in clips],
        [clip.encode_texts(["a cat", "a photo of two dogs"]) for clip in clips],
    ):
        assert torch.equal(quick, known)
        assert (quick - plain).abs().max() > 1e-4


def test_a_confidence_is_among_all_categories_however_few_are_asked_for():
    common = common_categories()
    assert categories("some/model", "RN50:openai", (common[0].upper(),)) == common
    assert categories("some/model", "RN50:openai", ("quokka statue", common[1])) == (*common, "quokka statue")
    assert categories("pocket", "pocket", ("ball",)) == categories("pocket", "RN50:openai", ("Ball",)) == CLASSES
