"""DiffDIS: every row of the paper's tables trains, what it learns, and predictions of photographs of any size."""

import numpy as np
import pytest
import torch

from benchmarks.fullsize import full_size
from models.metrics import iou
from models.pocket.scenes import render
from models.segmenters.diffdis.config import DiffDisConfig
from models.segmenters.registry import segmenter_of
from models.training.loop import Run, train
from models.training.schedule import Training
from tests.models.segmenters.diffdis.feeding import PLAIN
from tests.models.segmenters.smp.test_segmenter import squares


def test_the_labels_layers_learn_ten_times_as_fast_and_all_is_trained(tiny):
    own = tiny(**PLAIN)
    run = Run(own.network, Training(1, 2, 1e-3, warmup_steps=0, rates=own.config.rates()), seed=0)
    names = {id(parameter): name for name, parameter in own.network.named_parameters()}
    by_factor = {g["factor"]: {names[id(p)] for p in g["params"]} for g in run.optimiser.param_groups}
    assert by_factor[10.0] == {name for name in names.values() if "class_embedding" in name} != set()
    own.loss(own.network, squares(2)).backward()
    assert all(parameter.grad is not None for parameter in own.network.parameters())
    config = DiffDisConfig(backbone="x/y")
    assert (config.learning_rate, config.batch_size, config.epochs, config.size) == (3e-5, 4, 90, 1024)
    assert config.lr_schedule == "stepped" and config.weight_decay == 0 and DiffDisConfig().size == 128


@pytest.mark.parametrize(
    "choices",
    [{"edge": False, "dbia": "none", "swci": False, "cutmix": False}, {"dbia": "none"}, {"swci": False},
     {"dbia": "fusion"}, {"steps": "1*/2"}, {"steps": "2/2"}, {"steps": "1*/10"}, {"start": "random"},
     {"preset": "paper"}, {"preset": "released"}],
)  # fmt: skip
def test_every_row_of_the_tables_trains_and_predicts(tiny, choices):
    own, batch = tiny(**choices), squares(3)
    own.loss(own.network, batch).backward()
    assert all(parameter.grad is not None for parameter in own.network.parameters())
    assert hasattr(own.network.unet, "class_embedding") and (own.labels is None) == (not own.config.edge)
    assert np.isfinite(own.soft_masks(batch)).all()


@pytest.mark.parametrize("tta", [False, True])
def test_photos_of_any_size_get_masks_of_their_own_whatever_their_company(tiny, tta):
    own, rng = tiny(tta=tta), np.random.default_rng(1)
    photos = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((64, 64), (50, 131), (1, 1))]
    for photo, soft in zip(photos, own.predict(photos), strict=True):
        assert soft.shape == photo.shape[:2] and soft.dtype == np.float32 and 0 <= soft.min() <= soft.max() <= 1
        np.testing.assert_allclose(own.predict([photo])[0], soft, atol=2e-3)


def test_six_views_are_scaled_and_mirrored_and_brought_back(tiny, monkeypatch):
    """Where each pass gives the red channel back, all six together give it too: nothing is misplaced or left out."""
    own, seen = tiny(tta=True), []

    def red(rgb):
        seen.append((rgb.shape[2], bool(rgb[0, 0, :, 0].mean() > rgb[0, 0, :, -1].mean())))
        return rgb[:, 0]

    monkeypatch.setattr(own, "_masks", red)
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    torch.testing.assert_close(own.masks_of(ramp), ramp[:, 0], atol=0.01, rtol=0)
    assert sorted(seen) == [(side, mirrored) for side in (48, 64, 80) for mirrored in (False, True)]
    seen.clear()
    own.soft_masks({"image": torch.zeros(1, 64, 64, 3, dtype=torch.uint8)})  # a validation has one view
    assert seen == [(64, False)]


def test_masks_are_stretched_to_their_own_range_and_a_constant_one_stays(tiny, monkeypatch):
    own = tiny()
    flat = torch.stack([torch.linspace(0.4, 0.6, 64).expand(64, 64), torch.full((64, 64), 0.3)])
    monkeypatch.setattr(own, "decoded_masks", lambda latents: flat)
    with torch.no_grad():
        found = own.masks_of(torch.zeros(2, 3, 64, 64))
    assert found[0].min() == 0 and found[0].max() == 1 and torch.equal(found[1], flat[1])


def test_empty_full_and_single_samples_train(tiny):
    own = tiny()
    for masks in (torch.zeros(3, 64, 64), torch.ones(3, 64, 64), torch.zeros(1, 64, 64)):
        batch = {"image": torch.full((len(masks), 64, 64, 3), 90, dtype=torch.uint8), "mask": masks.bool()}
        assert torch.isfinite(own.loss(own.network, batch))


def test_image_mask_and_edge_are_mixed_in_the_same_box(tiny, monkeypatch):
    """Each pixel of all three together is the sample's own or its partner's; of the last of five, its own."""
    batch, seen = squares(5) | {"image": torch.randint(0, 256, (5, 64, 64, 3), dtype=torch.uint8)}, []
    for choices in (PLAIN, PLAIN | {"cutmix": True}):
        own = tiny(**choices)
        monkeypatch.setattr(own, "encoded", lambda pixels: pixels)
        torch.manual_seed(1)
        rgb, truths, _ = own._latents(own._pictures(batch)[0])
        seen.append(torch.cat([rgb, *truths.split(5)], dim=1))  # (5, 9, 64, 64)
    plain, mixed = seen
    kept, partner = (mixed == plain).all(1), (mixed == plain[[1, 0, 3, 2, 4]]).all(1)
    assert (kept | partner).all() and kept[4].all() and not kept[:4].all()


def test_the_loss_follows_from_torchs_seed(tiny):
    own, batch = tiny(), squares(4)
    own.network.eval()  # batch statistics would be the same, but running ones move
    losses = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        losses.append(own.loss(own.network, batch).item())
    assert losses[0] == losses[1] != losses[2]


def test_dbia_without_an_edge_is_refused():
    with pytest.raises(
        ValueError, match="dbia: expected 'none' if edge is false, because there is no edge to attend to, got 'mutual'"
    ):
        DiffDisConfig(edge=False)
    assert DiffDisConfig(edge=False, dbia="none").swci


def fitted(own, batch, steps: int) -> list[float]:
    """The losses of a training on one batch."""
    training = Training(
        steps, len(batch["mask"]), own.config.learning_rate, weight_decay=0, warmup_steps=0, lr_schedule="cosine",
        ema=None, max_grad_norm=None, save_every=1000, rates=own.config.rates(),
    )  # fmt: skip
    losses = []

    def loss_of(network, batch):
        losses.append(own.loss(network, batch))
        return losses[-1]

    train(Run(own.network, training, seed=0), lambda start: iter([batch] * (steps - start)), loss_of, lambda *_: None)
    return [loss.item() for loss in losses]


@pytest.mark.slow
def test_the_loss_of_eight_scenes_falls_to_near_zero():
    values = {"size": 64, "learning_rate": 5e-4, "run": {"device": "cpu"}} | PLAIN
    own, scenes = segmenter_of(DiffDisConfig.model_validate(values)), [render(5, i) for i in range(8)]
    masks = np.stack([scene.mask for scene in scenes])
    batch = {"image": torch.from_numpy(np.stack([s.image for s in scenes])), "mask": torch.from_numpy(masks)}
    losses = fitted(own, batch, 60)
    found = [iou(soft, mask) for soft, mask in zip(own.soft_masks(batch), masks, strict=True)]
    assert np.mean(losses[-5:]) < 0.1 * losses[0] and np.mean(found) > 0.85, (losses, found)


@pytest.mark.slow
def test_full_size(tmp_path):
    """SD 2.1's configuration with random weights at 64x64: a step's gradients reach all of it, and it predicts."""
    full_size("sd21", tmp_path)
    values = {"backbone": str(tmp_path), "size": 64, "batch_size": 2, "run": {"device": "cpu"}}
    own, batch = segmenter_of(DiffDisConfig.model_validate(values)), squares(2)
    (block,) = own.network.unet.mid_block.attentions[0].transformer_blocks
    assert round(sum(weight.numel() for weight in own.network.parameters()) / 1e6) == 913  # as docs/diffdis.md says
    assert own.context.shape == (1, 2, 1024) and block.mutual.to_q.weight.shape == (1280, 1280)
    assert [injector.beta.out_channels for injector in own.network.injectors] == [320, 640, 1280]
    loss = own.loss(own.network, batch)
    loss.backward()
    assert torch.isfinite(loss) and all(weight.grad.isfinite().all() for weight in own.network.parameters())
    assert np.isfinite(own.soft_masks(batch)).all()
