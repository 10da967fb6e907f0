"""The frozen encoders: nothing of them changes, what of a file is theirs, what is refused, and masks at any size."""

import json

import numpy as np
import open_clip
import pytest
import timm
import torch

from models.segmenters.encoder.config import EncoderConfig
from models.segmenters.encoders import load_encoder
from models.segmenters.registry import segmenter_of
from models.training.loop import Run, train
from models.training.schedule import Training
from tests.models.segmenters.smp.test_segmenter import squares

TINY = {"weights": "random", "widths": (8, 8), "run": {"device": "cpu", "batch_size": 2}}
NAMES = ("timm:test_vit", "timm:test_resnet", "open_clip:tiny-tower")


@pytest.fixture(scope="module", autouse=True)
def tiny_tower(tmp_path_factory):
    """A tiny CLIP under a name that open_clip knows."""
    file = tmp_path_factory.mktemp("clip") / "tiny-tower.json"
    tower = {"image_size": 64, "layers": 3, "width": 64, "patch_size": 16}
    text = {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1}
    file.write_text(json.dumps({"embed_dim": 8, "vision_cfg": tower, "text_cfg": text}))
    open_clip.add_model_config(file)


def tiny(name: str = "timm:test_vit", **choices):
    return segmenter_of(EncoderConfig.model_validate(TINY | {"encoder": name} | choices))


def pictures(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (40 + 30 * i, 90, 3), dtype=np.uint8) for i in range(count)]


@pytest.mark.parametrize("name", NAMES)
def test_a_step_leaves_the_encoder_as_it_was(name):
    own, batch = tiny(name), squares(3)
    before = {key: value.clone() for key, value in own.encoder.network.state_dict().items()}
    training = Training(2, 3, 1e-2, weight_decay=0, warmup_steps=0, ema=None, save_every=1000)
    first = {key: value.clone() for key, value in own.network.state_dict().items()}
    train(Run(own.network, training, seed=0), lambda start: iter([batch] * 2), own.loss, lambda *_: None)
    assert all(torch.equal(value, before[key]) for key, value in own.encoder.network.state_dict().items())
    assert all(weight.grad is None and not weight.requires_grad for weight in own.encoder.network.parameters())
    assert not own.encoder.network.training
    assert not all(torch.equal(value, first[key]) for key, value in own.network.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_an_images_features_are_the_same_in_any_company(name):
    own, photos = tiny(name), pictures(3)
    together = own.encoder.features(photos)
    assert [tuple(layer.shape[1:]) for layer in together] == own.feature_shapes((64, 64))
    for i, photo in enumerate(photos):
        for layer, alone in zip(together, own.encoder.features([photo]), strict=True):
            torch.testing.assert_close(layer[i : i + 1], alone, rtol=1e-5, atol=1e-5)


def test_a_vits_maps_are_its_last_blocks_patches_where_they_lie_in_the_image():
    """A patch that changes is felt most at its own cell, so that rows and columns are not mistaken for each other."""
    own = tiny(layers=1)
    plain = np.full((160, 160, 3), 128, np.uint8)
    marked = plain.copy()
    marked[16:32, 112:128] = 255  # row 1, column 7 of patches of 16
    (before,), (after,) = own.encoder.features([plain]), own.encoder.features([marked])
    assert before.shape == (1, 64, 10, 10)
    change = (after - before).norm(dim=1)[0]
    assert divmod(int(change.argmax()), 10) == (1, 7)


def test_a_resnets_maps_are_its_last_strides_and_normalised_as_its_own():
    own, photo = tiny("timm:test_resnet"), pictures(1)[0]
    network = own.encoder.network
    facts = timm.data.resolve_model_data_config(network)
    assert own.encoder.size == facts["input_size"][1:] and own.encoder.mean == facts["mean"]
    assert [160 // shape[1] for shape in own.feature_shapes((64, 64))] == [8, 16, 32]
    kept = network.forward_intermediates
    seen = []
    network.forward_intermediates = lambda inputs, **_: seen.append(inputs) or kept(inputs, **_)
    try:
        own.encoder.features([np.full_like(photo, 51)])
    finally:
        del network.forward_intermediates
    expected = (0.2 - torch.tensor(facts["mean"])) / torch.tensor(facts["std"])
    torch.testing.assert_close(seen[0], expected[None, :, None, None].expand(1, 3, 160, 160))


@pytest.mark.parametrize("prefix", ["", "module.encoder_q.", "module.base_encoder.", "backbone."])
def test_a_checkpoint_as_mocos_gives_the_features_of_its_encoder(tmp_path, prefix):
    torch.manual_seed(9)
    other = timm.create_model("resnet18", num_classes=7)
    state = {f"{prefix}{key}": value for key, value in other.state_dict().items()}
    if "encoder_q" in prefix:
        momentum = {key.replace("encoder_q", "encoder_k"): torch.randn_like(v.float()) for key, v in state.items()}
        state |= momentum | {"module.queue": torch.zeros(8, 16)}
    file = tmp_path / "moco.pth.tar"
    torch.save({"epoch": 200, "arch": "resnet18", "state_dict": state}, file)
    own = tiny("timm:resnet18", weights=str(file))
    inputs = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = other.eval().forward_intermediates(inputs, indices=3, intermediates_only=True)
        found = own.encoder.network.forward_intermediates(inputs, indices=3, intermediates_only=True)
    assert len(found) == 3 and all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert own.config.label() == "encoder, timm:resnet18, weights of moco.pth.tar"


def test_a_clips_file_gives_the_features_of_its_tower(tmp_path):
    torch.manual_seed(9)
    other = open_clip.create_model("tiny-tower")
    torch.save(other.state_dict(), tmp_path / "clip.pt")
    own = tiny("open_clip:tiny-tower", weights=str(tmp_path / "clip.pt"))
    assert all(torch.equal(v, other.visual.state_dict()[k]) for k, v in own.encoder.network.state_dict().items())


def test_what_cannot_be_an_encoder_is_refused_in_one_line(tmp_path, monkeypatch):
    whole = timm.create_model("resnet18", num_classes=0).state_dict()
    for file, state in (
        ("deeper", timm.create_model("resnet34", num_classes=0).state_dict()),
        ("wider", whole | {"layer1.0.conv1.weight": torch.zeros(9, 9)}),
        ("shorter", {key: value for key, value in whole.items() if key != "bn1.bias"}),
    ):
        torch.save({"state_dict": state}, tmp_path / file)
    (tmp_path / "text").write_text("no weights at all")

    def offline(*_, **__):
        raise OSError("no route to host")

    for choices, said in (
        ({"weights": tmp_path / "deeper"}, r"layer1.2.conv1.weight is unexpected.*name the encoder"),
        ({"weights": tmp_path / "wider"}, r"1 of its tensors .*conv1.weight is \(9, 9\), not \(64, 64, 3, 3\)"),
        ({"weights": tmp_path / "shorter"}, "bn1.bias is missing"),
        ({"weights": tmp_path / "text"}, "text: could not be loaded"),
        ({"weights": tmp_path / "nothing"}, "weights: expected 'pretrained', 'random' or a file"),
        ({"encoder": "timm:telepathy"}, "timm has no model 'telepathy'"),
        ({"encoder": "timm:resnet18.nope"}, "Invalid pretrained tag"),
        ({"encoder": "open_clip:telepathy"}, "open_clip has no model"),
        ({"encoder": "open_clip:tiny-tower", "weights": "pretrained"}, "has no weights ''"),
        ({"layers": 9}, "has fewer than 9 layers with maps"),
    ):
        with pytest.raises(ValueError, match=said) as refused:
            tiny(**({"encoder": "timm:resnet18"} | {name: str(v) for name, v in choices.items()}))
        assert "\n" not in str(refused.value)
    with pytest.raises(ValueError, match="should match pattern"):
        EncoderConfig(encoder="resnet18")
    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ValueError, match="could not be loaded .OSError: no route to host.; check the network"):
        tiny("timm:resnet18", weights="pretrained")


@pytest.mark.parametrize("name", NAMES)
def test_photos_of_any_size_get_masks_of_their_own_whatever_their_company(name):
    own, photos = tiny(name), [*pictures(3), np.zeros((1, 1, 3), np.uint8)]
    for photo, soft in zip(photos, own.predict(photos), strict=True):
        assert soft.shape == photo.shape[:2] and soft.dtype == np.float32 and 0 <= soft.min() <= soft.max() <= 1
        np.testing.assert_allclose(own.predict([photo])[0], soft, atol=2e-3)


def test_a_batch_without_features_is_the_same_as_one_with():
    own, bare = tiny(), squares(2, (48, 80))
    made = {"features": own.features(bare["image"].numpy()), "mask": bare["mask"]}
    assert own.soft_masks(made).shape == (2, 48, 80)
    np.testing.assert_array_equal(own.soft_masks(bare), own.soft_masks(made))
    own.network.eval()
    assert torch.equal(own.loss(own.network, bare), own.loss(own.network, made))


@pytest.mark.parametrize("name", ["timm:test_resnet", "open_clip:tiny-tower"])
def test_even_random_features_show_a_bright_object(name):
    own, batch = tiny(name), squares(4)
    batch["features"] = own.features(batch["image"].numpy())
    training = Training(60, 4, 1e-2, weight_decay=0, warmup_steps=0, lr_schedule="constant", ema=None, save_every=1000)
    train(Run(own.network, training, seed=0), lambda start: iter([batch] * (60 - start)), own.loss, lambda *_: None)
    found, masks = own.soft_masks(batch) > 0.5, batch["mask"].numpy()
    assert ((found & masks).sum((1, 2)) / (found | masks).sum((1, 2))).mean() > 0.7


def test_random_weights_follow_from_the_seed_and_are_called_so():
    one, same, other = (load_encoder("timm:test_vit", "random", 1, seed, "cpu") for seed in (1, 1, 2))
    assert one is same and not torch.equal(one.features(pictures(1))[0], other.features(pictures(1))[0])
    assert tiny(seed=1).weights_digest() != tiny(seed=2).weights_digest()
    assert tiny().config.label() == "encoder, timm:test_vit, random weights"
