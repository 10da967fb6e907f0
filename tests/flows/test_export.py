"""Exports by the command line: a format, its splits and what is told; a kill and the rest; what is refused."""

import pytest
from typer.testing import CliRunner

from maskmill.cli import app
from models.config.export import FORMATS
from storage.dataset.reader import open_dataset
from storage.exports.formats.yolo import YoloFormat
from storage.photos.folders import open_folder
from tests.storage.exports.conftest import write_dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("export") / "data", 80).path


def run(*arguments: object):
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


def test_an_export_goes_on_where_it_broke_off(data, tmp_path, monkeypatch):
    out, written, original = tmp_path / "out", [], YoloFormat.write

    def fails_in_the_second_block(form, folder, plan, block, dataset):
        written.append(block.name)
        if len(written) == 2:
            raise OSError("No space left on device")
        return original(form, folder, plan, block, dataset)

    monkeypatch.setattr(YoloFormat, "write", fails_in_the_second_block)
    command = (data, "--format", "yolo", "--out", out, "--split", "train=0.75,test=0.25", "--seed", 3)
    broken = run(*command)
    assert broken.exit_code == 1 and "No space left on device" in broken.stderr and not out.exists()
    done = run(*command)
    assert done.exit_code == 0, done.output
    assert written == ["train-00000-of-00001", *["test-00000-of-00001"] * 2]
    assert "48 train, 16 test" in done.stdout and "masks with holes" in done.stdout
    assert len(list((out / "images/test").iterdir())) == 16
    assert "--split train=0.75,test=0.25 --seed 3" in (out / "README.md").read_text()


def test_an_export_is_refused_where_there_is_one_and_overwritten_when_told(data, tmp_path):
    out = tmp_path / "out"
    assert run(data, "--format", "folders", "--out", out).exit_code == 0
    assert len(open_folder("folder", out / "train")) == 64
    again = run(data, "--format", "coco", "--out", out)
    assert again.exit_code == 2 and again.stderr.count("\n") == 1 and "--overwrite" in again.stderr
    assert run(data, "--format", "coco", "--out", out, "--overwrite").exit_code == 0
    assert (out / "annotations/instances_train.json").exists() and not (out / "train").exists()


def test_a_format_is_one_file_and_one_line(data, tmp_path, monkeypatch):
    refused = run(data, "--format", "toy", "--out", tmp_path / "out")
    assert refused.exit_code == 2 and "'hf' or 'zarr', got 'toy'; change it" in refused.stderr
    monkeypatch.setitem(FORMATS, "toy", "tests.storage.exports.toy:ToyFormat")
    done = run(data, "--format", "toy", "--out", tmp_path / "out", "--split", "0.75,0.25")
    assert done.exit_code == 0, done.output
    dataset, kept = open_dataset(data), []
    for split in ("train", "val"):
        for line in (tmp_path / "out" / f"{split}.txt").read_text().splitlines():
            index, label, area = map(int, line.split())
            kept.append(index)
            assert dataset[index].mask.sum() == area and dataset[index].category == dataset.config["classes"][label]
    assert sorted(kept) == dataset.kept().tolist()
    assert "--format toy" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize(
    "options, said",
    [
        (["--format", "tfrecord"], "format: expected 'coco'"),
        (["--format", "coco", "--split", "0.7,0.2"], "sum to 1"),
        (["--format", "coco", "--seed", "-1"], "seed"),
        (["--format", "coco", "--version", "v7"], "no version v7"),
    ],
)
def test_bad_input_is_refused_in_one_line(data, tmp_path, options, said):
    refused = run(data, "--out", tmp_path / "out", *options)
    assert refused.exit_code == 2 and refused.stderr.count("\n") == 1 and said in refused.stderr
    assert not list(tmp_path.iterdir())
