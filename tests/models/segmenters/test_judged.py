"""Pixels that are not judged: no loss, no gradient and no metric depends on them; without any, nothing changes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from models.errors import UserError
from models.images import filled, resized_mask, resized_truth
from models.segmenters.decoder import Decoder, dice_loss, mask_loss
from models.segmenters.judged import cross_entropy, filled_masks, squared_error, weights_on
from models.segmenters.registry import SEGMENTERS, segmenter_of
from models.segmenters.validation import validation_figures
from tests.models.segmenters.smp.test_segmenter import squares
from tests.models.segmenters.test_registry import SMALL

ON_FOLDERS = [name for name in SEGMENTERS if name != "diffusionseg"]
MASKS = st.integers(0, 10_000).map(lambda seed: np.random.default_rng(seed).random((3, 9, 12)) < 0.4)


def batch_with(void: torch.Tensor | None, inside: bool = False) -> dict:
    """Two rectangles, with the pixels of `void` given the value `inside`, as a file without truth there may have it."""
    batch = squares(2)
    if void is not None:
        batch |= {"void": void, "mask": torch.where(void, torch.tensor(inside), batch["mask"])}
    return batch


@pytest.mark.parametrize("name", ON_FOLDERS)
def test_no_void_leaves_the_loss_bit_for_bit_and_void_hides_what_is_under_it(name, tiny_folders):
    choices = {"backbone": str(tiny_folders["sd1"]), "augment": "none", "cutmix": False}
    choices = {field: value for field, value in choices.items() if field in SEGMENTERS[name].model_fields}
    own = segmenter_of(SEGMENTERS[name].model_validate(SMALL[name] | choices | {"run": {"device": "cpu"}}))
    corner = torch.zeros(2, 64, 64, dtype=torch.bool)
    corner[:, 32:, 32:] = True

    def loss(batch: dict) -> float:
        torch.manual_seed(3)
        return own.loss(own.network.eval(), batch).item()

    plain, whole = loss(batch_with(None)), loss(batch_with(torch.zeros_like(corner)))
    assert plain == whole
    assert loss(batch_with(corner, False)) == loss(batch_with(corner, True)) != plain
    assert loss(batch_with(torch.ones_like(corner))) == 0


@settings(max_examples=30)
@given(MASKS, MASKS, st.integers(0, 99))
def test_losses_are_means_over_judged_pixels(truth, void, seed):
    logits = torch.randn(truth.shape, generator=torch.Generator().manual_seed(seed))
    truth, hidden = torch.from_numpy(truth).float(), torch.from_numpy(void)
    judged = ~hidden
    torch.testing.assert_close(
        cross_entropy(logits, truth, hidden), F.binary_cross_entropy_with_logits(logits[judged], truth[judged])
    )
    for one in range(len(truth)):
        kept = judged[one]
        flat = [part[one][kept][None, None] for part in (logits, truth)]
        torch.testing.assert_close(
            dice_loss(logits[one : one + 1], truth[one : one + 1], hidden[one : one + 1]), dice_loss(*flat)
        )
    total = cross_entropy(logits, truth, hidden) + dice_loss(logits, truth, hidden)
    torch.testing.assert_close(mask_loss(logits, truth, "bce+dice", hidden), total)
    latents, target = torch.randn(3, 4, 3, 3), torch.randn(3, 4, 3, 3)
    weights = weights_on(hidden, torch.Size((3, 3)))
    shares = judged.float().reshape(3, 3, 3, 3, 4).mean(dim=(2, 4))
    torch.testing.assert_close(weights[:, 0], shares)
    expected = (shares[:, None] * (latents - target) ** 2).sum() / (4 * shares.sum())
    torch.testing.assert_close(squared_error(latents, target, weights), expected)


@given(MASKS, MASKS)
def test_void_is_filled_from_its_nearest_judged_pixel(masks, void):
    found = filled_masks({"mask": torch.from_numpy(masks), "void": torch.from_numpy(void)}).numpy()
    for mask, unjudged, own in zip(masks, void, found, strict=True):
        judged = np.argwhere(~unjudged)
        for y, x in np.ndindex(mask.shape):
            distances = ((judged - (y, x)) ** 2).sum(axis=1)
            nearest = judged[distances == distances.min()]
            assert own[y, x] in {mask[tuple(place)] for place in nearest}
    everything = np.ones_like(void[0])
    np.testing.assert_array_equal(filled(masks[0], everything), masks[0])


@given(MASKS, st.sampled_from([(9, 12), (4, 5), (20, 30)]))
def test_a_truth_without_void_is_resized_as_a_mask(masks, size):
    nothing = np.zeros_like(masks[0])
    mask, void = resized_truth(masks[0], nothing, size)
    np.testing.assert_array_equal(mask, resized_mask(masks[0], size))
    assert not void.any()


def test_an_outline_of_void_does_not_shrink_the_object():
    mask = np.zeros((60, 60), bool)
    mask[14:46, 14:46] = True
    void = np.zeros_like(mask)
    void[10:50, 10:50] = True
    void[18:42, 18:42] = False  # the outline, four pixels on each side of the edge
    small, hidden = resized_truth(mask & ~void, void, (15, 15))
    exact = resized_mask(mask, (15, 15))
    np.testing.assert_array_equal(small | hidden, exact | hidden)
    assert 0 < hidden.sum() < 40


def test_validation_is_of_judged_pixels():
    class Knows:
        def soft_masks(self, batch):
            return batch["truth"]

    batch = squares(2)
    void = torch.zeros_like(batch["mask"])
    void[0, :20], void[1] = True, True  # nothing of the second is judged
    wrong = torch.where(void, ~batch["mask"], batch["mask"]).numpy().astype(np.float32)
    figures = validation_figures(Knows(), [batch | {"void": void, "truth": wrong}])
    assert figures == {"score": 1, "iou": 1, "acc": 1, "mae": 0, "f_max": pytest.approx(1), "void": int(void.sum())}
    assert "void" not in validation_figures(Knows(), [batch | {"truth": wrong}])
    with pytest.raises(UserError, match="no pixel of the masks for validation is judged"):
        validation_figures(Knows(), [batch | {"void": void | True, "truth": wrong}])


def test_one_sample_on_one_cell_is_named_where_it_cannot_be_normalised():
    decoder = Decoder([(4, 1, 1), (3, 2, 2)], (8, 8), None)
    layers = [torch.zeros(1, 4, 1, 1), torch.zeros(1, 3, 2, 2)]
    with pytest.raises(UserError, match="batch_size: expected at least 2"):
        decoder(layers)
    assert decoder.eval()(layers).shape == (1, 16, 16)
    assert decoder.train()([torch.cat([layer] * 2) for layer in layers]).shape == (2, 16, 16)
