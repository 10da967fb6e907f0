"""Simulated worlds: the same each time, with the ground, the sharpness and the noise that they name."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.masks.adaptive import SETTINGS, measured
from benchmarks.masks.worlds import LAYERS, NOISY_LAYERS, WORLDS, Seen, World, photographs, simulate
from models.cut.seeds import mean_of_top, seed_cells
from models.errors import UserError


def seen(world: World, index: int = 0) -> Seen:
    """A disc on a ground of another colour, as the world sees it."""
    rows, columns = np.mgrid[:128, :128]
    truth = (rows - 60) ** 2 + (columns - 70) ** 2 < 30**2
    image = np.where(truth[..., None], (180, 120, 60), (60, 110, 90)).astype(np.uint8)
    return simulate(world, image, truth, index)


@pytest.mark.parametrize("side", [16, 64])
def test_a_world_sees_a_picture_alike_each_time_and_others_otherwise(side):
    world = World(0.2, 3.0, side)
    one, again, other = seen(world), seen(world), seen(world, 1)
    for name in ("layer_maps", "columns", "affinities"):
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
        assert not np.array_equal(getattr(one, name), getattr(other, name))
    assert one.layer_maps.shape == (LAYERS, side, side) and one.layer_maps.min() >= 0
    assert one.columns.shape == (side**2, len(seed_cells(side, side))) and one.affinities.shape == (4, side, side)


def test_the_ground_is_the_one_named():
    outside = ~seen(World(0.0, 1.0)).truth[2::4, 2::4]
    grounds = [seen(World(ground, 1.0)).layer_maps.mean(0)[outside].mean() for ground in (0.0, 0.2, 0.5)]
    np.testing.assert_allclose(np.diff(grounds), (0.2, 0.3), atol=0.05)


def test_sharper_attention_keeps_to_the_object():
    inside = seen(World(0.1, 1.0)).truth[2::4, 2::4].ravel()
    kept = []
    for sharpness in (1.0, 3.0, 8.0):
        columns = seen(World(0.1, sharpness)).columns[:, inside]
        kept.append(columns[inside].sum() / columns.sum())
    assert kept == sorted(kept) and kept[0] < 0.5 < kept[-1]


def test_noise_lies_in_a_few_layers_and_clutter_outside_the_object():
    quiet, noisy = seen(World(0.1, 1.0)).layer_maps, seen(World(0.1, 1.0, noise=0.4)).layer_maps
    np.testing.assert_array_equal(quiet[NOISY_LAYERS:], noisy[NOISY_LAYERS:])
    assert not np.array_equal(quiet[:NOISY_LAYERS], noisy[:NOISY_LAYERS])
    added = mean_of_top(seen(World(0.1, 1.0, clutter=0.4)).layer_maps - quiet, LAYERS)
    inside = seen(World(0.1, 1.0)).truth[2::4, 2::4]
    assert added[~inside].max() > 0.1 > added[inside].mean()


def test_worlds_have_names_of_their_own_and_settings_are_measured_in_order():
    assert len({world.name for world in WORLDS}) == len(WORLDS)
    paper, _, adaptive = measured([seen(World(0.3, 3.0, side=16))])[0]
    assert paper < 0.5 < 0.9 < adaptive and next(iter(SETTINGS)) == "the paper's numbers"


def test_photographs_that_are_not_there_are_asked_for(tmp_path: Path):
    with pytest.raises(UserError, match="DUTS-TR"):
        photographs(tmp_path, 3)
