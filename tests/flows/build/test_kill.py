"""A build by the real command line, killed at three stages and restarted, ends as an uninterrupted one does."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml
from typer.testing import CliRunner

from flows.build import build
from maskmill.cli import app
from storage.dataset.reader import open_dataset
from tests.flows.conftest import assert_equal

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def start(config, tmp_path):
    """Start `maskmill build` into tmp_path/dataset as a process with a Prefect folder and a server of its own.

    Or with a server that is there: to start one takes longer than the build.
    """
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config.model_dump(mode="json", by_alias=True)))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    environment |= {"PREFECT_HOME": str(tmp_path / "prefect"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "maskmill", "build", "--config", str(file), "--out", str(tmp_path / "dataset")]
    started = []

    def run(server: str | None = None) -> subprocess.Popen:
        variables = environment | ({} if server is None else {"PREFECT_API_URL": server})
        process = subprocess.Popen(
            command, cwd=ROOT, env=variables, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        return process

    yield run
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def table(path: Path) -> pd.DataFrame:
    """The table as far as the build has come, empty before there is any."""
    try:
        return open_dataset(path, "build").frame()
    except ValueError:
        return pd.DataFrame({"prompt": [], "status": []})


def is_planned(samples: pd.DataFrame) -> bool:
    return len(samples) > 0 and bool((samples["prompt"] != "").all())


def is_half_sampled(samples: pd.DataFrame) -> bool:
    return 0 < (samples["status"] == "planned").sum() < len(samples)


def is_sampled(samples: pd.DataFrame) -> bool:
    """Cuts and screening go on from here, and nothing is published."""
    return not (samples["status"] == "planned").any()


def stop_when(process: subprocess.Popen, path: Path, reached) -> None:
    """SIGKILL as soon as the table shows what is waited for."""
    while not reached(table(path)):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.kill()
    process.wait()


def test_a_signal_to_all_of_a_builds_processes_is_a_stop_and_no_failure(start, tmp_path):
    """As a terminal sends Ctrl-C and `timeout` its signal: to Prefect's own server too."""
    process = start()
    while not is_planned(table(tmp_path / "dataset")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert errors.splitlines()[-1] == "maskmill: stopped; committed work is kept, the same command resumes"


def is_left(group: int) -> bool:
    """Whether a process of a process group is still there, but for those that wait to be reaped."""
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return False


def test_a_build_killed_at_three_stages_ends_as_an_uninterrupted_one(config, built, start, server_url, tmp_path):
    out = tmp_path / "dataset"
    stop_when(start(server_url), out, is_planned)
    assert set(table(out)["status"]) == {"planned"}
    second = start()
    stop_when(second, out, is_half_sampled)
    third = start(server_url)
    while not (out / "build.lock").read_text().startswith(str(third.pid)):
        time.sleep(0.05)
    with pytest.raises(ValueError, match=f"held by process {third.pid}"):
        build(config, out)
    assert not is_left(second.pid)  # neither Prefect's own server nor what watches it
    stop_when(third, out, is_sampled)
    assert open_dataset(out, "build").versions == ()

    last = start()
    said, errors = last.communicate(timeout=300)
    assert last.returncode == 0, errors
    assert "version   v1" in said and "index.html" in said
    assert_equal(out, built)
    again = CliRunner().invoke(app, ["build", "--config", str(tmp_path / "config.yaml"), "--out", str(out)])
    assert again.exit_code == 0 and again.output.startswith("Nothing is left to do")
