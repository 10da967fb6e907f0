"""`maskmill.build`: the command's build from Python, with its checks and its resuming."""

import subprocess
import sys
from pathlib import Path

import pytest

import maskmill
from tests.flows.conftest import assert_equal

ROOT = Path(__file__).resolve().parents[3]


def test_a_build_from_python_is_the_commands(config, built, tmp_path):
    record = maskmill.build(config, str(tmp_path / "dataset"))
    assert_equal(tmp_path / "dataset", built)
    assert (record.path, record.version, record.planned) == (tmp_path / "dataset", "v1", 8)
    assert record.report == tmp_path / "dataset" / "report" / "index.html" and record.report.is_file()
    assert record.kept + sum(record.rejected.values()) + record.failed == 8
    written = record.report.stat().st_mtime_ns
    assert maskmill.build(config, tmp_path / "dataset") == record  # nothing is left to do
    assert record.report.stat().st_mtime_ns == written


def test_a_build_from_python_is_refused_before_anything_is_written(config, built, tmp_path):
    with pytest.raises(maskmill.UserError, match=r"run\.device"):
        wrong = config.model_copy(update={"run": config.run.model_copy(update={"device": "cuda:99"})})
        maskmill.build(wrong, tmp_path / "dataset")
    assert not (tmp_path / "dataset").exists()
    with pytest.raises(maskmill.UserError, match="seed is 7 there, 8 here"):
        maskmill.build(config.model_copy(update={"seed": 8}), built)


@pytest.mark.slow
def test_dasks_workers_find_our_packages_beside_modules_of_the_same_name(tmp_path, tiny_folders):
    for name in ("models.py", "storage.py", "flows.py", "tasks.py"):
        (tmp_path / name).write_text("VALUE = 'theirs'\n")
    script = (
        "import maskmill\n"
        f"config = maskmill.BuildConfig(backbone={str(tiny_folders['sd1'])!r}, classes=['cat'], count=2,\n"
        "    shard_size=1, sampling={'steps': 2}, screen={'clip': 'none'}, run={'workers': 1})\n"
        "print(maskmill.build(config, 'dataset').planned)\n"
    )
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(  # `-c` leaves no script that the workers would run again
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0 and done.stdout == "2\n", done.stderr
