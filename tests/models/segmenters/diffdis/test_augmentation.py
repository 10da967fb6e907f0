"""DiffDIS's edges against a slow reference, and its alterations: as often and as far as stated, alike for all three."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from models.images import stretched
from models.segmenters.diffdis.augmentation import (
    augmented,
    cropped,
    cutmix_boxes,
    cutmixed,
    edges_of,
    mirrored,
    recoloured,
    rotated,
)
from tests.models.segmenters.smp.test_segmenter import squares


@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_an_edge_is_where_five_by_five_pixels_hold_object_and_ground(mask):
    expected = np.zeros_like(mask)
    for y, x in np.ndindex(mask.shape):
        seen = mask[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
        expected[y, x] = seen.any() and not seen.all()
    np.testing.assert_array_equal(edges_of(torch.from_numpy(mask)[None])[0].numpy(), expected)


@pytest.mark.parametrize("kind", ["released", "paper", "none"])
def test_masks_without_an_edge_have_none_and_no_number_is_lost(kind):
    masks = torch.stack([torch.zeros(50, 70), torch.ones(50, 70)]).bool()
    images, rng = np.full((2, 50, 70, 3), 51, np.uint8), np.random.default_rng(0)
    rgb, mask, edge = augmented(images, masks, (64, 64), "none" if kind == "none" else kind, rng)
    assert rgb.shape == mask.shape == edge.shape == (2, 3, 64, 64)
    assert rgb.isfinite().all() and (mask[0] == -1).all() and (edge[0] == -1).all()
    if kind == "none":
        assert (mask[1] == 1).all() and (edge[1] == -1).all() and torch.allclose(rgb, torch.tensor(-0.6))


def test_image_mask_and_edge_are_altered_alike_and_span_the_range():
    """A picture of the mask itself stays one, whatever is done to it."""
    masks = squares(12, (90, 70))["mask"]
    images, rng = (masks[..., None].numpy() * np.uint8(255)).repeat(3, 3), np.random.default_rng(1)
    rgb, mask, edge = augmented(images, masks, (128, 128), "paper", rng)
    assert ((rgb > 0) == (mask > 0)).float().mean() > 0.985
    wide = torch.nn.functional.max_pool2d(edges_of(mask[:, 0] > 0).float()[:, None], 9, 1, 4)[:, 0] > 0
    assert (wide | (edge[:, 0] < 0)).float().mean() > 0.985 and (edge[:, 0] > 0).any((1, 2)).all()
    for pictures in (rgb, mask, edge):
        assert (pictures.amin((1, 2, 3)) == -1).all() and (pictures.amax((1, 2, 3)) == 1).all()
    plain = augmented(images, masks, (128, 128), "none", rng)[1]
    assert not torch.equal(plain, mask)


def test_void_is_altered_as_the_mask_is_and_changes_nothing_else():
    masks = squares(12, (90, 70))["mask"]
    images = (masks[..., None].numpy() * np.uint8(255)).repeat(3, 3)
    plain = augmented(images, masks, (128, 128), "released", np.random.default_rng(1))
    *same, void = augmented(images, masks, (128, 128), "released", np.random.default_rng(1), masks)
    assert all(torch.equal(one, other) for one, other in zip(plain, same, strict=True))
    assert void.shape == (12, 1, 128, 128) and torch.equal(void[:, 0] > 0.5, plain[1][:, 0] > 0)


def pictures(width: int, height: int):
    """An image whose red says the column and whose green says the row, and two masks of the same."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([x * 255 // width, y * 255 // height, np.zeros_like(x)], -1).astype(np.uint8)
    return Image.fromarray(image), Image.fromarray(image[..., 0]), Image.fromarray(image[..., 1])


@pytest.mark.parametrize("side, most", [(2048, 30), (1024, 30), (512, 15), (128, 4)])
def test_a_crop_takes_the_middle_less_up_to_thirty_pixels_of_1024(side, most):
    rng, sample, taken = np.random.default_rng(0), pictures(side, 1024), set()
    for _ in range(300 if side < 1024 else 60):
        image, mask, edge = cropped(sample, rng)
        assert image.size == mask.size == edge.size
        taken.add(side - image.size[0])
        margin = (side - image.size[0]) // 2
        assert np.array_equal(np.asarray(mask)[0], np.asarray(sample[1])[0, margin : margin + image.size[0]])
    assert min(taken) >= 0 and max(taken) <= most and len(taken) > most * 0.6


def test_half_are_mirrored_and_a_fifth_turned_by_whole_degrees():
    rng, sample = np.random.default_rng(0), pictures(33, 33)
    ways = [np.asarray(picture) for picture in sample]
    flips, turns = 0, 0
    for _ in range(600):
        found = [np.asarray(picture) for picture in mirrored(sample, rng)]
        flipped = not np.array_equal(found[0], ways[0])
        assert all(np.array_equal(f, w[:, ::-1] if flipped else w) for f, w in zip(found, ways, strict=True))
        flips += flipped
        found = [np.asarray(picture) for picture in rotated(sample, rng)]
        angles = [a for a in range(-15, 15) if np.array_equal(found[1], sample[1].rotate(a, Image.Resampling.BICUBIC))]
        assert angles and np.array_equal(found[2], sample[2].rotate(angles[0], Image.Resampling.BICUBIC))
        turns += angles != [0]
    assert 250 < flips < 350 and 85 < turns < 150


def test_colours_are_altered_and_shapes_are_not():
    rng, image = np.random.default_rng(0), pictures(64, 64)[0]
    light = [np.asarray(recoloured(image, rng), np.float32).mean() for _ in range(30)]
    assert max(light) > 1.4 * min(light)


def test_a_constant_picture_is_not_stretched_and_what_is_no_number_stays_so():
    values = torch.stack([torch.linspace(0.2, 0.4, 6), torch.full((6,), 0.3), torch.full((6,), float("nan"))])
    found = stretched(values)
    torch.testing.assert_close(found[0], torch.linspace(0, 1, 6))
    assert torch.equal(found[1], values[1]) and found[2].isnan().all()


def test_half_the_boxes_are_empty_and_the_others_of_the_stated_area_and_aspect():
    inside = cutmix_boxes(400, 128, np.random.default_rng(0))[:, 0]
    filled = [box for box in inside if box.any()]
    assert 160 < len(filled) < 240
    for box in filled:
        h, w = int(box.any(1).sum()), int(box.any(0).sum())
        assert int(box.sum()) == h * w  # a rectangle, and all of it inside
        assert 0.02 * 128**2 - h - w <= h * w <= 0.4 * 128**2 and 0.27 < h / w < 3.7
    areas = [float(box.float().mean()) for box in filled]
    assert min(areas) < 0.05 and max(areas) > 0.3


@given(st.integers(1, 7), st.integers(0, 99))
def test_cutmix_gives_each_what_its_partner_held_at_first_and_the_last_of_an_odd_number_nothing(count, seed):
    own = torch.arange(count).float()[:, None, None, None].expand(-1, 3, 32, 32)
    inside = cutmix_boxes(count, 32, np.random.default_rng(seed))
    mixed = cutmixed(own, inside)
    for i in range(count):
        partner = i if i == count - 1 and count % 2 else i + (-1) ** i
        assert (mixed[i][:, inside[i, 0]] == partner).all() and (mixed[i][:, ~inside[i, 0]] == i).all()
