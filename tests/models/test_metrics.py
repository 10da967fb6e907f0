"""The metrics against pysodmetrics, and where it has none against slow references written from the definitions."""

import warnings

import numpy as np
import py_sod_metrics as sod
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nst

from models import metrics
from models.metrics import BoxScores, MaskScores, box_iou

UNIT = st.floats(0, 1, width=32)


@st.composite
def pairs(draw, shape=None):
    """A prediction and a truth of one small shape; 8-bit levels, any floats, constants; empty and full truths too."""
    shape = shape or draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    levels = nst.arrays(np.uint8, shape).map(lambda a: a.astype(dtype) / 255)
    constant = UNIT.map(lambda value: np.full(shape, value, dtype))
    binary = nst.arrays(bool, shape).map(lambda a: a.astype(dtype))
    prediction = draw(st.one_of(levels, nst.arrays(dtype, shape, elements=UNIT), constant, binary))
    block = np.zeros(shape, bool)
    block[draw(st.integers(0, shape[0] - 1)) :, : draw(st.integers(1, shape[1]))] = True
    whole = st.sampled_from([np.zeros(shape, bool), np.ones(shape, bool), block])
    return prediction, draw(st.one_of(nst.arrays(bool, shape), whole))


def oracle(images):
    """The summary of pysodmetrics under our names."""
    handlers = {
        "f": sod.FmeasureHandler(with_dynamic=True, with_adaptive=True, beta=0.3),
        "iou": sod.IOUHandler(with_dynamic=False, with_adaptive=False, with_binary=True),
        "acc": sod.OverallAccuracyHandler(with_dynamic=False, with_adaptive=False, with_binary=True),
    }
    measures = [sod.FmeasureV2(handlers), sod.MAE(), sod.Smeasure(), sod.Emeasure(), sod.WeightedFmeasure()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # its means of empty quarters
        for prediction, truth in images:
            for measure in measures:
                measure.step(prediction, truth, normalize=False)
    f, mae, s, e, wf = (measure.get_results() for measure in measures)
    curves = {"f": f["f"]["dynamic"], "e": e["em"]["curve"]}
    return {
        "acc": f["acc"]["binary"],
        "iou": f["iou"]["binary"],
        "mae": mae["mae"],
        "s": s["sm"],
        "weighted_f": wf["wfm"],
        "f_adaptive": f["f"]["adaptive"],
        "e_adaptive": e["em"]["adp"],
        **{f"{name}_mean": curve.mean() for name, curve in curves.items()},
        **{f"{name}_max": curve.max() for name, curve in curves.items()},
    }


def scored(images):
    scores = MaskScores()
    figures = [scores.add(*image) for image in images]
    return scores.summary(), figures


def agree(found, expected, num_pixels):
    for name, value in expected.items():
        if (name == "s" and np.isnan(value)) or (
            name.startswith("e_") and num_pixels == 1
        ):  # the truth's centre on the last row or column
            assert 0 <= found[name] <= 1
        else:
            assert found[name] == pytest.approx(value, abs=1e-6), name


@given(pairs(), st.integers(0, 2**16))
def test_void_is_left_out_of_counts_and_is_ground_for_structure(pair, seed):
    prediction, truth = pair
    void = np.random.default_rng(seed).random(truth.shape) < 0.4
    scores, bare, flipped = MaskScores(), MaskScores(), MaskScores()
    if void.all():
        with pytest.raises(ValueError, match="void everywhere"):
            scores.add(prediction, truth, void)
        return
    found = scores.add(prediction, truth, void)
    assert found == flipped.add(np.where(void, 1 - prediction, prediction), truth ^ void, void)
    assert scores.summary() == flipped.summary()
    flat = bare.add(prediction[~void][None], truth[~void][None])
    for name in set(found) - {"s", "weighted_f"}:
        assert found[name] == flat[name]
    whole = (np.where(void, 0, prediction).astype(prediction.dtype), truth & ~void)
    assert (found["s"], found["weighted_f"]) == (metrics.s_measure(*whole), metrics.weighted_f(*whole))
    assert MaskScores().add(prediction, truth, void & False) == MaskScores().add(prediction, truth)


@given(pairs())
def test_one_image_is_scored_as_by_pysodmetrics(pair):
    summary, _ = scored([pair])
    agree(summary, oracle([pair]), pair[1].size)


@given(st.lists(pairs(shape=(6, 7)), min_size=2, max_size=5))
def test_a_data_set_is_scored_as_by_pysodmetrics(images):
    summary, figures = scored(images)
    agree(summary, oracle(images), 42)
    for name in figures[0]:
        assert summary[name] == pytest.approx(np.mean([row[name] for row in figures]))


@pytest.mark.parametrize("seed", range(4))
def test_a_photograph_sized_image_is_scored_as_by_pysodmetrics(seed):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:180, :240]
    distance = np.hypot(y - rng.integers(20, 160), x - rng.integers(20, 220)) / rng.integers(10, 80)
    soft = np.clip(1.5 - distance + rng.normal(0, 0.2, distance.shape), 0, 1)
    pair = soft.astype([np.float32, np.float64][seed % 2]), distance < 1
    agree(scored([pair])[0], oracle([pair]), 180 * 240)


def tokencut_max_f(images):
    """TokenCut's F_max one threshold and one image at a time."""
    curve = np.zeros(255)
    for prediction, truth in images:
        for k in range(255):
            found = prediction > prediction.dtype.type(k) / prediction.dtype.type(255)
            hits = (found & truth).sum()
            precision = hits / found.sum() if found.any() else 1.0
            recall = hits / truth.sum() if truth.any() else 1.0
            if precision + recall:
                curve[k] += 1.3 * precision * recall / (0.3 * precision + recall)
    return curve.max() / len(images)


@given(st.lists(pairs(), min_size=1, max_size=3))
def test_tokencut_f_follows_its_definition(images):
    assert scored(images)[0]["tokencut_f_max"] == pytest.approx(tokencut_max_f(images), abs=1e-9)


def test_tokencut_thresholds_are_strict_and_ours_are_not():
    """Of 8-bit levels k / 255, TokenCut's threshold k leaves out level k, in either precision."""
    for dtype in (np.float32, np.float64):
        ramp = (np.arange(256, dtype=dtype) / 255)[None]
        truth = np.ones((1, 256), bool)
        for curve, kept in (
            (metrics.f_curve, 256 - np.arange(256)),
            (metrics.tokencut_curve, 255 - np.arange(255)),
        ):
            recall = kept / 256
            np.testing.assert_allclose(curve(ramp, truth), 1.3 * recall / (0.3 + recall))


def slow_box(mask):
    """The box of the largest 8-connected part by flood filling; the first in reading order of equals."""
    left, best = set(zip(*np.nonzero(mask), strict=True)), set()
    for start in sorted(left):
        part, edge = set(), [start] if start in left else []
        while edge:
            y, x = edge.pop()
            if (y, x) in left:
                left.remove((y, x))
                part.add((y, x))
                edge += [(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        best = part if len(part) > len(best) else best
    ys, xs = zip(*best, strict=True) if best else ((), ())
    return set(range(min(ys), max(ys) + 1)) if best else set(), set(range(min(xs), max(xs) + 1)) if best else set()


BOXES = st.lists(st.tuples(*[st.integers(0, 9)] * 2, *[st.integers(10, 14)] * 2), max_size=3)


@given(nst.arrays(bool, (9, 8)), BOXES | st.just([(2, 1, 5, 6), (0, 0, 8, 9)]))
def test_corloc_follows_its_definition(mask, boxes):
    ys, xs = slow_box(mask)
    overlaps = [0.0]
    for x0, y0, x1, y1 in boxes:
        found, given = {(y, x) for y in ys for x in xs}, {(y, x) for y in range(y0, y1) for x in range(x0, x1)}
        overlaps.append(len(found & given) / len(found | given))
    figures = BoxScores().add(mask.astype(np.float64), np.array(boxes, dtype=int).reshape(-1, 4))
    assert figures["box_iou"] == pytest.approx(max(overlaps))
    assert figures["corloc"] == (max(overlaps) >= 0.5)


def test_corloc_counts_a_half_and_every_image():
    scores = BoxScores()
    half = np.zeros((4, 4))
    half[:2] = 1
    assert scores.add(half, np.array([[0, 0, 4, 4]]))["corloc"] == 1  # an IoU of exactly 0.5
    assert scores.add(half, np.zeros((0, 4), int))["corloc"] == 0  # no box: a miss, still in the denominator
    assert scores.add(np.zeros((4, 4)), np.array([[0, 0, 4, 4]]))["corloc"] == 0
    assert scores.summary() == pytest.approx({"corloc": 1 / 3, "box_iou": 0.5 / 3})


def test_empty_boxes_overlap_nothing():
    np.testing.assert_array_equal(box_iou((0, 0, 0, 0), np.array([[0, 0, 0, 0], [0, 0, 2, 2]])), [0, 0])


@given(nst.arrays(bool, (7, 6)))
def test_a_perfect_prediction_of_a_proper_mask(truth):
    truth[0, 0], truth[1, 1] = True, False
    summary, _ = scored([(truth.astype(np.float64), truth)])
    above = 42 / 41  # the E-measure divides by size - 1
    best = {"mae": 0, "e_mean": None, "f_mean": None, "e_max": above, "e_adaptive": above}
    for name, score in summary.items():
        expected = best.get(name, 1)
        assert expected is None or score == pytest.approx(expected, abs=1e-6), name


@given(pairs())
def test_what_a_mirror_keeps(pair):
    straight, mirrored = scored([pair])[0], scored([tuple(a[:, ::-1] for a in pair)])[0]
    # The rest hangs on the centre's rounding, on the nearest of equals, and on whether a pixel equals twice the mean.
    for name in set(straight) - {"s", "weighted_f", "f_adaptive", "e_adaptive"}:
        assert mirrored[name] == pytest.approx(straight[name], abs=1e-5), name


@given(pairs())
def test_scoring_an_image_twice_changes_nothing(pair):
    assert scored([pair, pair])[0] == pytest.approx(scored([pair])[0])


def test_memory_does_not_grow_with_images():
    scores, rng = MaskScores(), np.random.default_rng(0)
    for shape in ((3, 4), (50, 60), (7, 7)):
        scores.add(rng.random(shape), rng.random(shape) > 0.5)
        assert sum(curve.nbytes for curve in scores.curves.values()) == 8 * (256 + 256 + 255)


@pytest.mark.parametrize(
    "prediction, truth, message",
    [
        (np.full((2, 2), 255, np.uint8), np.ones((2, 2), bool), "floats, got uint8"),
        (np.full((2, 2), 2.0), np.ones((2, 2), bool), r"in \[0, 1\], got 2.0 to 2.0"),
        (np.full((2, 2), np.nan), np.ones((2, 2), bool), r"in \[0, 1\]"),
        (np.ones((2, 2, 1)), np.ones((2, 2, 1), bool), r"\(H, W\)"),
        (np.ones((0, 2)), np.ones((0, 2), bool), r"\(H, W\)"),
        (np.ones((2, 3)), np.ones((2, 2), bool), "resize the prediction"),
        (np.ones((2, 2)), np.ones((2, 2)), "bool truth"),
    ],
)
def test_what_cannot_be_scored_is_refused(prediction, truth, message):
    with pytest.raises(ValueError, match=message):
        MaskScores().add(prediction, truth)


@pytest.mark.parametrize("dtype", [bool, np.float16])
def test_masks_and_half_precision_are_predictions_too(dtype):
    truth = np.eye(4, dtype=bool)
    assert MaskScores().add(truth.astype(dtype), truth) == MaskScores().add(truth.astype(np.float32), truth)


@pytest.mark.parametrize("scores", [MaskScores(), BoxScores()])
def test_no_images_have_no_summary(scores):
    with pytest.raises(ValueError, match="at least one image"):
        scores.summary()
