"""Prefect's API goes away in the middle of a build: the dataset is what it would have been, and one line says so."""

import signal
import time
from threading import Timer
from types import SimpleNamespace

import pytest
from prefect.client.orchestration import get_client

from flows.build import build, extend
from models.errors import UserError
from storage.dataset.reader import open_dataset
from storage.dataset.writer import DatasetWriter
from tests.flows.conftest import assert_equal, changed
from tests.flows.server.servers import configured

UNTRACKED = "the work continues, but Prefect does not track it from "


def at_commit(monkeypatch, number: int, act) -> None:
    """Act once, at a build's commit of this number."""
    commit, made = DatasetWriter.commit, []

    def counted(self, *args, **kwargs):
        made.append(1)
        if len(made) == number:
            act()
        return commit(self, *args, **kwargs)

    monkeypatch.setattr(DatasetWriter, "commit", counted)


def states() -> list[str]:
    with get_client(sync_client=True) as client:
        return [run.state.name for run in client.read_flow_runs()]


@pytest.mark.parametrize(
    "stop, number",  # at the plan, while sampling, or while screening
    [(signal.SIGSTOP, 1), (signal.SIGKILL, 3), (signal.SIGSTOP, 3), (signal.SIGKILL, 6)],
)
def test_a_build_whose_server_goes_away_ends_as_any(config, built, tmp_path, monkeypatch, capsys, stop, number):
    with configured() as server:
        at_commit(monkeypatch, number, lambda: server.process.send_signal(stop))
        start = time.monotonic()
        record = build(config, tmp_path / "dataset")
    assert time.monotonic() < start + 60
    assert record.version == "v1" and record.report.exists()
    assert_equal(tmp_path / "dataset", built)
    assert capsys.readouterr().err.count(UNTRACKED) == 1


def test_the_build_after_it_is_tracked_again(config, tmp_path, capsys):
    with configured() as server:
        server.process.kill()
        server.process.wait()
        build(changed(config, count=4), tmp_path / "dataset")
    assert UNTRACKED + "the start of the flow build" in capsys.readouterr().err
    with configured():
        build(config, tmp_path / "dataset")
        assert states() == ["Completed", "Completed"]  # build and fill
    assert UNTRACKED not in capsys.readouterr().err


def test_a_server_that_is_slow_for_a_while_keeps_its_record(config, built, tmp_path, monkeypatch, capsys):
    with configured() as server:

        def pause() -> None:
            server.process.send_signal(signal.SIGSTOP)
            monkeypatch.undo()
            Timer(3, server.process.send_signal, (signal.SIGCONT,)).start()

        at_commit(monkeypatch, 2, pause)
        build(config, tmp_path / "dataset")
        assert states() == ["Completed", "Completed"]
    assert_equal(tmp_path / "dataset", built)
    assert UNTRACKED not in capsys.readouterr().err


def test_an_error_is_the_works_own_when_the_server_is_away(config, tmp_path, monkeypatch):
    def broken() -> None:
        server.process.kill()
        raise UserError("mend it")

    with configured() as server, pytest.raises(UserError, match="mend it"):
        at_commit(monkeypatch, 3, broken)
        build(config, tmp_path / "dataset")


def test_nothing_is_done_twice_when_the_end_cannot_be_reported(config, tmp_path, monkeypatch):
    """An extension that ran again would extend again."""
    out = tmp_path / "dataset"
    build(changed(config, count=4), out)
    with configured() as server:
        monkeypatch.setattr("flows.build.write_report", lambda *_: server.process.kill())
        monkeypatch.setattr("flows.build.BuildRecord", SimpleNamespace)
        assert extend(out, 4).planned == 8
    assert len(open_dataset(out).frame()) == 8


def test_dask_workers_cut_without_a_server(config, built, tmp_path, capsys):
    with configured() as server:
        server.process.kill()
        server.process.wait()
        build(changed(config, run={"workers": 2}), tmp_path / "dataset")
    assert_equal(tmp_path / "dataset", built)
    assert capsys.readouterr().err.count(UNTRACKED) == 1
