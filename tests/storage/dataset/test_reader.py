"""Reading and writing shards: round trips, alignment, chunks; samples, the table and versions as a user meets them."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from storage.dataset import schema
from storage.dataset.reader import Dataset, open_dataset
from storage.dataset.shards import read_shard, write_shard
from storage.dataset.writer import DatasetWriter
from tests.storage.dataset.fake_build import GRID, IMAGE, SHARD, finish, open_writer, sampled, solved

SPECS = schema.array_specs(IMAGE, GRID)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("built") / "dataset"
    with open_writer(path, 10) as writer:
        finish(writer)
    return open_dataset(str(path))


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> DatasetWriter:
    return open_writer(tmp_path_factory.mktemp("written"), 10)


def values_of(name: str, size: int) -> st.SearchStrategy:
    """Any array that a column may hold, (size, ...)."""
    spec = SPECS[name]
    if spec.is_text:
        return st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=size, max_size=size)
    return arrays(np.dtype(spec.dtype), (size, *spec.shape))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(sorted(SPECS)), shard=st.integers(0, 2))
def test_what_is_written_is_read(data: st.DataObject, name: str, shard: int, writer: DatasetWriter) -> None:
    values = data.draw(values_of(name, 4 if shard < 2 else 2))
    fork = writer.fork()
    write_shard(fork, shard, {name: values})
    writer.commit(fork, "round trip")
    read = read_shard(writer.fork(), shard, [name])[name]
    if SPECS[name].is_text:
        assert read.tolist() == values
    else:
        assert read.dtype == values.dtype
        np.testing.assert_array_equal(read, values)


def test_rows_change_only_the_samples_named(writer: DatasetWriter) -> None:
    fork = writer.fork()
    write_shard(fork, 0, {"seed": np.arange(4), "prompt": list("abcd")})
    write_shard(fork, 0, {"seed": [30, 10], "prompt": ["ü", "é"]}, rows=[3, 1])
    stored = read_shard(fork, 0, ["seed", "prompt"])
    assert stored["seed"].tolist() == [0, 10, 2, 30] and stored["prompt"].tolist() == ["a", "é", "c", "ü"]


@pytest.mark.parametrize(
    "shard, columns, rows, complaint",
    [
        (0, {"seed": np.zeros(3)}, None, r"seed: expected shape \(4,\)"),
        (2, {"seed": np.zeros(4)}, None, r"seed: expected shape \(2,\)"),  # the short last shard
        (3, {"seed": np.zeros(4)}, None, "expected 0 to 2"),
        (-1, {"seed": np.zeros(4)}, None, "expected 0 to 2"),
        (0, {"mask": np.zeros((4, 24, 16), bool)}, None, "mask: expected shape"),
        (0, {"masks": np.zeros(4)}, None, "masks: no such array"),
        (0, {"status": np.full(4, 256)}, None, "status: values of type int64 do not fit uint8"),
        (0, {"image": np.full((4, *IMAGE, 3), 0.5)}, None, "image: values of type float64"),
        (0, {"seed": [1, 2]}, [1, 1], "distinct positions"),
        (0, {"seed": [1, 2]}, [3, 4], "distinct positions"),
        (0, {"seed": np.arange(4), "area": np.zeros(3)}, None, "area"),  # nothing of it is written
    ],
)
def test_misaligned_writes_are_refused(
    shard: int, columns: dict, rows: list[int] | None, complaint: str, writer: DatasetWriter
) -> None:
    fork = writer.fork()
    with pytest.raises(ValueError, match=complaint):
        write_shard(fork, shard, columns, rows)
    assert not fork.has_uncommitted_changes


@given(shard_size=st.integers(1, 4096), bytes_per_sample=st.integers(1, 2**22))
def test_chunks_divide_the_shard(shard_size: int, bytes_per_sample: int) -> None:
    rows = schema.chunk_rows("mask", schema.ArraySpec((bytes_per_sample,), "u1"), shard_size)
    assert shard_size % rows == 0
    assert rows == 1 or rows * bytes_per_sample <= schema.CHUNK_BYTES
    assert schema.chunk_rows("image", schema.ArraySpec((bytes_per_sample,), "u1"), shard_size) == 1


def test_pooled_attention_is_stored_only_when_asked(dataset: Dataset, tmp_path: Path) -> None:
    assert "pooled" not in dataset.group
    with DatasetWriter.open(tmp_path, {"seed": 1}, {"seed": 1}, IMAGE, GRID, SHARD, 4, pooled=(2, 5)):
        pooled = open_dataset(tmp_path, "build").group["pooled"]
        assert pooled.shape == (4, 6, 2) and pooled.dtype == np.float16


def test_sample(dataset: Dataset) -> None:
    sample = dataset[5]
    np.testing.assert_array_equal(sample.image, sampled(5)["image"])
    np.testing.assert_array_equal(sample.mask, solved(5, 2.5)["mask"])
    assert sample.image.dtype == np.uint8 and sample.mask.dtype == np.bool_
    assert (sample.index, sample.category, sample.seed, sample.status) == (5, "étoile", 155, "kept")
    assert sample.prompt == "une étoile n° 5 🌟\nau soir"
    assert sample.box == tuple(solved(5, 2.5)["box"]) and isinstance(sample.box[0], int)
    assert dataset[-1].index == 9
    assert [sample.index for sample in dataset] == list(range(10))
    with pytest.raises(IndexError):
        dataset[10]


def test_table(dataset: Dataset) -> None:
    frame = dataset.frame()
    assert frame.index.tolist() == list(range(10)) and len(frame) == len(dataset)
    assert set(frame.columns) == set(schema.table())
    assert frame["status"].value_counts().to_dict() == {"kept": 7, "rejected": 2, "failed": 1}
    assert frame["reason"][frame["status"] == "rejected"].unique().tolist() == ["too small"]
    assert dataset.kept().tolist() == [0, 2, 4, 5, 7, 8, 9]
    assert np.isnan(frame["clip_score"][3]) and frame["box"][0] == dataset[0].box
    frame.loc[:, "status"] = "spoilt"
    assert set(dataset.frame()["status"]) == {"kept", "rejected", "failed"}


def test_published_dataset_cannot_be_written(dataset: Dataset) -> None:
    with pytest.raises(Exception, match="read.only"):
        dataset.group["mask"][0] = True


def test_metadata(dataset: Dataset) -> None:
    assert dataset.image_size == IMAGE and dataset.statistics == {"planned": 10}
    assert dataset.config["classes"] == ["ball", "étoile"]
    assert dataset.versions == ("v1",) and dataset.version == "v1"


def test_unknown_paths_and_versions_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="found none"):
        open_dataset(tmp_path)
    with pytest.raises(ValueError, match="no version v9; expected v1, build"):
        open_dataset(dataset.path, "v9")
    assert list(tmp_path.iterdir()) == []


def test_dataset_travels_to_other_processes(dataset: Dataset) -> None:
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(dataset))[2].image, dataset[2].image)
