"""After and before the cut: cleaning, uncertainty, the bilateral solver, and arrays that are refused."""

import numpy as np
import pytest

from models.config.cut import CutConfig
from models.cut import attentioncut as ac
from tests.models.cut.slow_cut import config, iou, random_case, scene_case


def test_clean_drops_small_parts_and_fills_small_holes():
    mask = np.zeros((40, 40), dtype=bool)
    mask[5:25, 5:25] = True
    mask[10:12, 10:12] = False  # a hole of 4 pixels
    mask[15:21, 14:20] = False  # a hole of 36
    mask[30:33, 30:33] = True  # a part of 9
    mask[0:3, 30:40] = True
    mask[1, 39] = False  # a gap at the image's edge is no hole
    cleaned = ac.clean(mask, 0.05, 0.01)
    assert cleaned[10:12, 10:12].all() and not cleaned[15:21, 14:20].any()
    assert not cleaned[30:33, 30:33].any() and cleaned[0:3, 30:39].all() and not cleaned[1, 39]
    np.testing.assert_array_equal(ac.clean(mask, 0, 0), mask)
    assert not ac.clean(np.zeros((5, 5), bool), 0.2, 0.1).any()
    assert ac.clean(np.ones((5, 5), bool), 0.2, 0.1).all()


def test_uncertainty_rises_with_doubt():
    objectness = np.full((10, 10), 1e-4, np.float32)
    assert ac.uncertainty_of(objectness) == 1  # no object at all
    objectness[4] = 0.9
    assert ac.uncertainty_of(objectness) == 0
    objectness[5] = 0.5
    assert ac.uncertainty_of(objectness) == pytest.approx(0.5)


def test_uncertainty_rises_with_the_noise_of_the_maps():
    setting = config(grid="attention", alpha=0.5, **{"lambda": 2.0})
    levels = [
        np.mean([ac.cut(*scene_case(index, noise)[:2], config=setting).uncertainty for index in range(20)])
        for noise in (0.02, 0.1, 0.2, 0.4)
    ]
    assert levels == sorted(levels) and levels[-1] > 2 * levels[0]


def test_bilateral_option_follows_the_image():
    image, evidence, truth = scene_case(4)
    values = {"alpha": 0.0, "grid": "attention"}
    rough, smooth = (ac.cut(image, evidence, config(bilateral=b, **values)).mask for b in (False, True))
    assert smooth.shape == rough.shape and iou(smooth, truth) > 0.5


def test_a_bilateral_mask_far_from_the_cuts_is_refused_and_counted(monkeypatch):
    image, evidence, _ = scene_case(4)
    plain = ac.cut(image, evidence, config(grid="attention"))
    assert not plain.bilateral_refused
    for solved, refused in ((plain.mask, False), (~plain.mask, True)):
        monkeypatch.setattr(ac.bilateral, "solve", lambda image, target, solved=solved: solved.astype(float))
        found = ac.cut(image, evidence, config(grid="attention", bilateral=True))
        assert found.bilateral_refused == refused
        np.testing.assert_array_equal(found.mask, plain.mask)


BAD = {
    "image: expected": [
        lambda i, c, a: (i.astype(np.float32), c, a),
        lambda i, c, a: (i[..., 0], c, a),
        lambda i, c, a: (i[:3], c, a),
        lambda i, c, a: (i.tolist(), c, a),
    ],
    "class_map: expected": [
        lambda i, c, a: (i, c[0], a),
        lambda i, c, a: (i, c - 1, a),
        lambda i, c, a: (i, (c * 9).astype(int), a),
        lambda i, c, a: (i, np.where(c == c.max(), np.nan, c), a),
        lambda i, c, a: (i, np.where(c == c.max(), np.inf, c), a),
    ],
    "self_attention: expected": [
        lambda i, c, a: (i, c, a[:-1]),
        lambda i, c, a: (i, c, a[0]),
        lambda i, c, a: (i, c, -a),
        lambda i, c, a: (i, c, a * 1e300),
        lambda i, c, a: (i, c, np.where(a == a.max(), np.nan, a)),
        lambda i, c, a: (i, c, a > 0.01),
    ],
}


@pytest.mark.parametrize("message, spoil", [(m, s) for m, spoilers in BAD.items() for s in spoilers])
def test_bad_arrays_are_refused_by_name(message, spoil):
    arrays = random_case(np.random.default_rng(0), 4, 5, factor=2)
    with pytest.raises(ValueError, match=message) as error:
        ac.attentioncut(*spoil(*arrays), config=CutConfig())
    assert "got" in str(error.value)


@pytest.mark.parametrize("grid", ["attention", "banded", "full"])
@pytest.mark.parametrize("factor", [1e-30, 1e29])
def test_the_cut_ends_for_attention_of_any_scale(grid, factor):
    """And is the same as for probabilities, as long as A_s is brought to its range."""
    image, class_map, attention = random_case(np.random.default_rng(0), 4, 5, factor=2)
    setting = CutConfig(grid=grid)
    expected = ac.attentioncut(image, class_map, attention, setting)
    np.testing.assert_array_equal(ac.attentioncut(image, class_map * factor, attention * factor, setting), expected)


def test_half_precision_attention_is_taken():
    image, class_map, attention = random_case(np.random.default_rng(0), 4, 5, factor=2)
    mask = ac.attentioncut(image, class_map.astype(np.float16), attention.astype(np.float16), CutConfig())
    assert mask.shape == (8, 10)
