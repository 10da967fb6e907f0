"""What pictures say is what the arrays say."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis import figures
from tests.analysis.standin import InMemoryDataset


def test_overlay_leaves_the_object_and_dims_the_ground() -> None:
    image = np.full((64, 48, 3), 200, np.uint8)
    mask = np.zeros((64, 48), bool)
    mask[20:40, 10:30] = True
    drawn = figures.overlay(image, mask)
    assert (drawn[mask] == 200).all()
    assert drawn[0, 0].max() < 150
    assert tuple(drawn[19, 15]) == (255, 230, 0)  # the outline lies outside the mask


@pytest.mark.parametrize("size", [(32, 32), (64, 48), (16, 16)])
def test_heat_is_brightest_where_the_map_is_largest(size: tuple[int, int]) -> None:
    class_map = np.zeros((16, 16), np.float32)
    class_map[4, 12] = 3e-3  # a raw mean of attention is far below 1
    brightness = figures.heat(class_map, size).sum(axis=2)
    y, x = np.unravel_index(brightness.argmax(), size)
    assert abs(y / size[0] - 4.5 / 16) < 0.06 and abs(x / size[1] - 12.5 / 16) < 0.06


@pytest.mark.parametrize("value", [0.0, 1.0, np.nan, np.inf])
def test_heat_of_a_flat_or_broken_map_is_dark(value: float) -> None:
    drawn = figures.heat(np.full((8, 8), value, np.float32), (8, 8))
    assert drawn.shape == (8, 8, 3) and drawn.max() < 10


def test_tiles_shrink_large_images_and_keep_the_shape() -> None:
    image, mask = np.zeros((512, 768, 3), np.uint8), np.zeros((512, 768), bool)
    shapes = [tile.shape for tile in figures.tiles(image, mask, 192, [np.zeros((64, 96))])]
    assert shapes == [(128, 192, 3)] * 4
    shapes = [tile.shape for tile in figures.tiles(image[:100, :50], mask[:100, :50], 192)]
    assert shapes == [(100, 50, 3)] * 3


def test_contact_sheet_has_three_rows_and_different_classes(tmp_path: Path) -> None:
    dataset = InMemoryDataset(tmp_path, 40)
    chosen = figures.showcase(dataset, 8)
    assert len({dataset[i].category for i in chosen}) == 8
    assert {dataset[i].status for i in chosen} == {"kept"}
    width, height = Image.open(io.BytesIO(figures.contact_sheet(dataset, 8))).size
    gap = figures.GAP
    assert (width, height) == (8 * (128 + gap) + gap, 3 * (128 + gap) + gap)


def test_contact_sheet_without_a_kept_sample_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no kept sample"):
        figures.contact_sheet(InMemoryDataset(tmp_path, 5, status="rejected"), 8)


def test_labels_of_a_logarithmic_axis_are_apart_and_begin_with_the_least() -> None:
    assert figures.thinned({100000, 1000, 2000, 50000, 10000}) == [1000, 2000, 10000, 50000, 100000]
    assert figures.thinned({100, 101, 102, 10000}) == [100, 10000]
    assert figures.thinned({7}) == [7]


def test_a_curve_is_a_picture_whatever_its_lines_are_called() -> None:
    drawn = figures.scale_curve({"encoder, $x^{": [(2, 0.5), (40, 0.6)], "_<b>" * 60: [(2, 0.4), (9, 0.3)]})
    assert Image.open(io.BytesIO(drawn)).format == "PNG"
