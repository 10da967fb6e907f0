"""A folder is measured over again where more pairs are asked for than it has, and the peer measures the same shapes."""

from pathlib import Path

import numpy as np

from analysis.measures import measure
from benchmarks.datasets.statistics import first, peer
from storage.photos.folders import Benchmark


def test_pairs_are_taken_from_the_start_again() -> None:
    pairs = Benchmark(("a", "b"), (Path("a.jpg"), Path("b.jpg")), (Path("a.png"), Path("b.png")), has_boxes=False)
    found = first(pairs, 5)
    assert found.names == ("a", "b", "a", "b", "a") and [path.stem for path in found.truths] == list(found.names)
    assert first(pairs, 1).photos == (Path("a.jpg"),) and not found.has_boxes


def test_the_peer_counts_the_vertices_of_a_triangle_alike() -> None:
    image, mask = np.zeros((120, 120, 3), np.uint8), np.zeros((120, 120), bool)
    for row in range(100):
        mask[row + 10, 10 : 110 - row] = True
    assert peer(image, mask) == measure(image, mask).statistics["complexity"] == 3
    assert peer(image, ~mask & mask) == 0
