"""Building: kill and resume, the lock, workers in other processes, extension, versions, recut, faults and refusals."""

import multiprocessing
import signal
import subprocess
import sys
import time
from pathlib import Path

import icechunk
import numpy as np
import pytest
import zarr

from models.config.build import BuildConfig
from storage.dataset.reader import diff, open_dataset
from storage.dataset.repository import open_repository
from storage.dataset.shards import read_shard
from storage.dataset.target import difference
from storage.dataset.writer import DatasetWriter
from tests.storage.dataset import fake_build
from tests.storage.dataset.comparing import assert_same, contents
from tests.storage.dataset.fake_build import config, finish, identity, open_writer, work_shard

ROOT = Path(__file__).parents[3]


def run_to_death(path: Path, point: str) -> None:
    script = [sys.executable, "-m", "tests.storage.dataset.fake_build", str(path), "10", point]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize(
    "point",
    [
        "replace:1",  # the repository is written but not yet in place
        "commit:2",  # prompts
        "commit:6",  # images of the second shard, written but not committed
        "merge:8",  # masks
        "publish:1",
        "create_tag:1",  # statistics are committed
        "reset_branch:1",  # the tag exists, main has not moved
    ],
)
def test_killed_and_restarted_equals_uninterrupted(point: str, tmp_path: Path, uninterrupted: Path) -> None:
    path = tmp_path / "dataset"
    run_to_death(path, point)
    with open_writer(path, 10) as writer:
        assert not writer.published
        assert finish(writer) == "v1"
    assert_same(contents(path), contents(uninterrupted))
    assert open_dataset(path).frame().equals(open_dataset(uninterrupted).frame())
    assert open_dataset(path).versions == ("v1",)


def test_second_builder_is_refused_until_the_first_dies(tmp_path: Path) -> None:
    path = tmp_path / "dataset"
    hold = (
        "import sys, time, pathlib; from tests.storage.dataset.fake_build import open_writer\n"
        f"writer = open_writer(pathlib.Path({str(path)!r}), 10); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", hold], cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match=rf"{path}/build.lock is held by process {holder.pid}:") as refusal:
            open_writer(path, 10)
        assert "\n" not in str(refusal.value)
        holder.kill()
        holder.wait()
        with open_writer(path, 10) as writer:
            assert writer.count == 10


def test_lock_is_released_on_leaving_and_on_refusal(tmp_path: Path) -> None:
    with open_writer(tmp_path, 10), pytest.raises(ValueError, match="build.lock"):
        open_writer(tmp_path, 10)
    with pytest.raises(ValueError, match="image_size"):
        DatasetWriter.open(tmp_path, config(10), identity(config(10)), (8, 8), (2, 3), 4, 10)
    with open_writer(tmp_path, 10):
        pass


def sample_in_child(work: tuple[icechunk.ForkSession, int]) -> tuple[icechunk.ForkSession, int]:
    fork, shard = work
    work_shard(fork, shard, "sample")
    return fork, shard


def test_forks_come_back_from_spawned_processes_in_any_order(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "dataset"
    with open_writer(path, 10) as writer, multiprocessing.get_context("spawn").Pool(2) as pool:
        for shard in writer.pending("plan"):
            fork = writer.fork()
            work_shard(fork, shard, "plan")
            writer.commit(fork, f"plan {shard}")
        one_for_all = writer.fork()
        done = pool.map(sample_in_child, [(one_for_all, shard) for shard in writer.pending("sample")], chunksize=1)
        for left, (fork, shard) in zip((2, 1, 0), reversed(done), strict=True):
            writer.commit(fork, f"sample {shard}")
            assert len(writer.pending("sample")) == left
        for shard in range(3):
            stored = read_shard(writer.fork(), shard, ["image", "status"])
            for row, image in enumerate(stored["image"]):
                np.testing.assert_array_equal(image, fake_build.sampled(shard * fake_build.SHARD + row)["image"])
    assert "not safe for concurrent commits" not in "".join(capfd.readouterr())


def test_readers_see_only_what_is_published(tmp_path: Path) -> None:
    with open_writer(tmp_path, 10) as writer:
        with pytest.raises(ValueError, match='version="build"'):
            open_dataset(tmp_path)
        under_way = open_dataset(tmp_path, "build")
        assert finish(writer) == "v1"
        assert set(under_way.frame()["status"]) == {"planned"}  # a snapshot
        assert open_dataset(tmp_path).version == "v1"


def test_finished_build_has_nothing_to_do(tmp_path: Path) -> None:
    with open_writer(tmp_path, 10) as writer:
        finish(writer)
        commits = len(list(open_repository(tmp_path).ancestry(branch="build")))
    started = time.perf_counter()
    with open_writer(tmp_path, 10) as writer:
        assert writer.published
        assert finish(writer) == "v1"
    assert time.perf_counter() - started < 1
    repo = open_repository(tmp_path)
    assert repo.list_tags() == {"v1"}
    assert len(list(repo.ancestry(branch="build"))) == commits


@pytest.mark.parametrize("larger", [11, 12, 13, 21])
def test_extension_keeps_what_is_done(larger: int, tmp_path: Path) -> None:
    grown, direct = tmp_path / "grown", tmp_path / "direct"
    with open_writer(grown, 10) as writer:
        finish(writer)
    with open_writer(grown, larger) as writer:
        assert not writer.published
        assert writer.pending("sample")[0] == 2  # shard 2 held samples 8 and 9
        assert (open_dataset(grown, "build").frame()["status"] == "planned").sum() == larger - 10
        assert finish(writer) == "v2"
    with open_writer(direct, larger) as writer:
        finish(writer)
    assert_same(contents(grown), contents(direct))
    assert len(open_dataset(grown)) == larger == open_dataset(grown).config["count"]
    assert len(open_dataset(grown, "v1")) == 10
    changes = diff(grown, "v1", "v2")
    assert list(changes.index) == list(range(10, larger)) and set(changes["change"]) == {"added"}


@pytest.mark.parametrize("goes_on", ["resumed", "extended", "recut"])
def test_a_dataset_older_than_a_column_is_read_and_goes_on(goes_on: str, tmp_path: Path) -> None:
    old, direct = tmp_path / "old", tmp_path / "direct"
    for path in (old, direct):
        with open_writer(path, 10) as writer:
            if goes_on != "resumed":
                finish(writer)
    with DatasetWriter.reopen(old) as writer:
        fork = writer.fork()
        del zarr.open_group(fork.store)["bilateral_refused"]
        writer.commit(fork, "As it was before")
        if goes_on != "resumed":
            writer.publish("Published before")
    assert "bilateral_refused" not in contents(old, "build")
    assert not open_dataset(old, "build").frame()["bilateral_refused"].any()
    for path in (old, direct):
        if goes_on == "recut":
            recut(path, 1.0)
        else:
            with open_writer(path, 12 if goes_on == "extended" else 10) as writer:
                finish(writer)
    written = contents(direct)
    if goes_on == "extended":  # what was published without it is not computed again
        written["bilateral_refused"][:10] = False
    assert_same(contents(old), written)


def test_a_field_that_configs_gained_since_counts_as_its_default() -> None:
    built = BuildConfig(classes=("ball",), count=4)
    stored = built.model_dump(mode="json", by_alias=True)
    default = stored["cut"].pop("max_hole")
    assert difference(stored, built.identity()) == ""
    other = built.model_copy(update={"cut": built.cut.model_copy(update={"max_hole": default + 0.1})})
    assert difference(stored, other.identity()) == f"cut.max_hole is {default} there, {default + 0.1} here"


def test_publishing_an_unfinished_build_is_refused(tmp_path: Path) -> None:
    with open_writer(tmp_path, 10) as writer, pytest.raises(ValueError, match="unfinished shards: .*'sample': 3"):
        writer.publish("too early")


def recut(path: Path, alpha: float) -> str:
    with DatasetWriter.reopen(path) as writer:
        wanted = config(10, alpha=alpha)
        writer.recut(wanted, identity(wanted))
        return finish(writer, alpha)


def test_recut_is_a_new_version_that_changes_masks_only(tmp_path: Path) -> None:
    with open_writer(tmp_path, 10) as writer:
        finish(writer)
    before = contents(tmp_path)
    assert recut(tmp_path, 1.0) == "v2"
    assert recut(tmp_path, 1.0) == "v2"
    after = contents(tmp_path)
    for name in ("image", "class_map", "affinities", "prompt", "status"):
        np.testing.assert_array_equal(before[name], after[name])
    changed = diff(tmp_path, "v1", "v2")
    assert list(changed.index) == [i for i in range(10) if i != 3]  # sample 3 has failed
    assert all("mask" in fields for fields in changed["fields"]) and (changed["mask_iou"] < 1).all()
    assert open_dataset(tmp_path).config["cut"] == {"alpha": 1.0}
    assert_same(contents(tmp_path, "v1"), before)


def test_abandoned_recut_gives_way_to_another_or_to_none(tmp_path: Path) -> None:
    with open_writer(tmp_path, 10) as writer:
        finish(writer)
    before = contents(tmp_path)
    for alpha, version in ((2.5, "v1"), (0.5, "v2")):
        with DatasetWriter.reopen(tmp_path) as writer:
            dropped = config(10, alpha=1.0)
            writer.recut(dropped, identity(dropped))
            assert writer.pending("cut") == [0, 1, 2]
        assert recut(tmp_path, alpha) == version
    assert_same(contents(tmp_path, "v1"), before)


def test_recut_waits_for_a_build_under_way(tmp_path: Path) -> None:
    wanted = config(12, alpha=1.0)
    with open_writer(tmp_path, 10) as writer:
        with pytest.raises(ValueError, match="nothing is published"):
            writer.recut(wanted, identity(wanted))
        finish(writer)
    with (
        open_writer(tmp_path, 12) as writer,
        pytest.raises(ValueError, match="a build was started after the last version"),
    ):
        writer.recut(wanted, identity(wanted))


def test_another_config_or_a_smaller_count_is_refused(tmp_path: Path) -> None:
    open_writer(tmp_path, 10).__exit__(None, None, None)
    with pytest.raises(ValueError, match=r"cut.alpha is 2.5 there, 1.0 here"):
        open_writer(tmp_path, 10, alpha=1.0)
    with pytest.raises(ValueError, match=r"cut.beta is absent there"):
        open_writer(tmp_path, 10, beta=1.0)
    with pytest.raises(ValueError, match=r"count: .* 10 samples, got 9"):
        open_writer(tmp_path, 9)


def test_a_path_that_holds_something_else_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="thesis.tex"):
        open_writer(tmp_path, 10)
    with pytest.raises(ValueError, match="found a file"):
        open_writer(tmp_path / "thesis.tex", 10)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_damaged_or_newer_dataset_is_refused(tmp_path: Path) -> None:
    newer, damaged = tmp_path / "newer", tmp_path / "damaged"
    (damaged / "repo").mkdir(parents=True)
    for read in (open_dataset, DatasetWriter.reopen, lambda path: open_writer(path, 10)):
        with pytest.raises(ValueError, match="is not a readable Icechunk repository"):
            read(damaged)
    open_writer(newer, 10).__exit__(None, None, None)
    session = open_repository(newer).writable_session("build")
    zarr.open_group(session.store).attrs["schema_version"] = 99
    session.commit("from the future")
    for read in (lambda path: open_dataset(path, "build"), DatasetWriter.reopen, lambda path: open_writer(path, 10)):
        with pytest.raises(ValueError, match="expected schema_version 1, found 99"):
            read(newer)


def test_a_repository_of_something_else_is_refused(tmp_path: Path) -> None:
    """Without our branch, with our branch and other contents, with an array for a root."""
    for content in ("nothing", "a group", "an array"):
        folder = tmp_path / content.replace(" ", "_")
        repo = icechunk.Repository.create(icechunk.local_filesystem_storage(str(folder / "repo")))
        if content != "nothing":
            repo.create_branch("build", repo.lookup_branch("main"))
            session = repo.writable_session("build")
            if content == "a group":
                zarr.create_group(session.store, attributes={"schema_version": 1})
            else:
                zarr.create_array(session.store, shape=(3,), dtype="i4")
            session.commit("theirs")
        for read in (open_dataset, DatasetWriter.reopen, lambda path: open_writer(path, 10)):
            with pytest.raises(ValueError, match="is an Icechunk repository, but not of a dataset"):
                read(folder)


def test_tags_of_others_are_no_versions(tmp_path: Path) -> None:
    open_writer(tmp_path, 10).__exit__(None, None, None)
    repo = open_repository(tmp_path)
    repo.create_tag("release", repo.lookup_branch("build"))
    assert open_dataset(tmp_path, "build").versions == ()
