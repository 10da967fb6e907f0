"""The table of segmenters, and that each is what models/segmenters/protocol.py says."""

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from models.backbone.facts import check_backbone
from models.config.training import TrainingSet
from models.segmenters import registry
from models.segmenters.protocol import CachesFeatures, Segmenter
from models.segmenters.registry import SEGMENTERS, any_of, by_name, segmenter_names, segmenter_of
from tests.models.segmenters import toy

SMALL: dict[str, dict[str, Any]] = {
    "diffusionseg": {"prior": {"clip": "none"}, "steps": 1, "widths": (4, 4)},
    "sod-diffusion": {"swin": "none", "size": 64, "steps": 2, "ensemble": 1, "validation_steps": 1},
    "diffdis": {"size": 64},
    "encoder": {"encoder": "timm:test_vit", "weights": "random", "widths": (4, 4)},
    "unet": {"encoder": "resnet18", "size": 64},
    "deeplabv3": {"encoder": "resnet18", "size": 64},
}


@pytest.fixture(params=SEGMENTERS)
def config(request, tiny_folders):
    kind = SEGMENTERS[request.param]
    backbone = {"backbone": str(tiny_folders["sd2"])} if "backbone" in kind.model_fields else {}
    return kind.model_validate(SMALL[request.param] | backbone | {"run": {"device": "cpu"}})


def batch() -> dict[str, Any]:
    images = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return {"index": torch.arange(2), "image": images, "mask": images[..., 0] > 127, "category": ["cat", "cat"]}


def test_each_segmenter_is_what_a_task_needs(config):
    own, given = segmenter_of(config), batch()
    assert isinstance(own, Segmenter) and isinstance(own, CachesFeatures) == config.caches_features()
    assert bool(config.features()) == config.caches_features()
    loss = own.loss(own.network, given)
    loss.backward()
    assert loss.shape == () and any(weight.grad is not None for weight in own.network.parameters())
    soft = own.soft_masks(given)
    assert soft.shape == (2, 64, 64) and soft.dtype == np.float32 and 0 <= soft.min() <= soft.max() <= 1
    (predicted,) = own.predict([np.zeros((50, 80, 3), np.uint8)], ["cat"] if config.takes_class() else None)
    assert predicted.shape == (50, 80) and predicted.dtype == np.float32
    assert len(own.size) == 2 and all(isinstance(side, int) for side in own.size)


@pytest.mark.parametrize("config", ["diffusionseg", "encoder"], indirect=True)
def test_cached_features_make_the_same_loss_as_images(config):
    own, given = segmenter_of(config), batch()
    layers = own.features(given["image"].numpy(), given["category"])
    assert [tuple(layer.shape[1:]) for layer in layers] == own.feature_shapes((64, 64))
    assert own.weights_digest() == segmenter_of(config).weights_digest() and int(own.weights_digest(), 16) > 0
    cached = {"mask": given["mask"], "features": layers}
    assert own.loss(own.network, cached).item() == pytest.approx(own.loss(own.network, given).item(), rel=1e-4)


def test_what_needs_a_backbone_says_so_and_is_checked_without_torch(config):
    backbone = config.uses_backbone()
    assert backbone == getattr(config, "backbone", None)
    facts = None if backbone is None else check_backbone(backbone)
    config.check(facts, None)
    config.check(facts, TrainingSet(8, (64, 64)))


def test_diffusionseg_alone_takes_classes_and_no_photographs(tiny_folders):
    by_default = {name: kind.model_validate(SMALL[name]) for name, kind in SEGMENTERS.items()}
    own = SEGMENTERS["diffusionseg"].model_validate({"backbone": str(tiny_folders["sd1"])})
    assert not any(config.takes_class() for config in by_default.values()) and own.takes_class()
    assert own.clip_asked(None) == "ViT-B-32:openai" and own.clip_asked("dog") == "none"
    assert {config.clip_asked(None) for config in by_default.values()} == {"none"}
    facts = check_backbone(str(tiny_folders["sd1"]))
    with pytest.raises(ValueError, match="diffusionseg trains on a dataset; give --data"):
        own.check(facts, TrainingSet(8, None))
    with pytest.raises(ValueError, match="expected a multiple of 64, got 100"):
        own.check(facts, TrainingSet(8, (100, 128)))


def test_names_type_and_help_follow_from_the_table():
    assert segmenter_names() == "diffusionseg, sod-diffusion, diffdis, encoder, unet or deeplabv3"
    read = TypeAdapter(any_of((*registry.TABLE, toy.ToyConfig)))
    for name, kind in by_name((*registry.TABLE, toy.ToyConfig)).items():
        assert type(read.validate_python({"segmenter": name} | SMALL.get(name, {}))) is kind
    with pytest.raises(ValidationError, match="toy"):
        TypeAdapter(registry.SegmenterConfig).validate_python({"segmenter": "toy"})


def test_a_segmenter_of_one_file_is_found_there():
    own = segmenter_of(toy.ToyConfig())
    assert type(own) is toy.Segmenter and isinstance(own, Segmenter) and not isinstance(own, CachesFeatures)
