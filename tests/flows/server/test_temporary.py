"""The temporary server needs nothing of the user's: no home, no database, no settings; it leaves nothing behind."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path

import httpx
import psutil
import pytest

from flows.server import database
from flows.server.temporary import Server

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def environment(tmp_path):
    """Of a process that has no server configured; its home, cache and temporary files are the test's."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    for name, folder in (("HOME", "home"), ("XDG_CACHE_HOME", "cache"), ("TMPDIR", "tmp")):
        (tmp_path / folder).mkdir()
        env[name] = str(tmp_path / folder)
    return env | {"PYTHONPATH": str(ROOT)}


COMMAND = """
import sys, typer
from maskmill.environment import prepare_environment
prepare_environment()
from maskmill.failures import running
try:
    with running():
        from flows.base import flow
        from prefect.client.orchestration import get_client
        @flow(name="work")
        def work():
            return 7
CODE
except typer.Exit as exit:
    sys.exit(exit.exit_code)
"""


def run(code: str, env: dict[str, str], *before: str) -> subprocess.CompletedProcess:
    """Run code as a command does whose flow is `work`."""
    script = COMMAND.replace("CODE", textwrap.indent(textwrap.dedent(code), " " * 8))
    return subprocess.run(
        [*before, sys.executable, "-c", script],
        env=env, text=True, capture_output=True, timeout=180, check=False, cwd=env["TMPDIR"],
    )  # fmt: skip


RECORD = """
    print(work())
    with get_client(sync_client=True) as client:
        print([run.state.name for run in client.read_flow_runs()])
"""


def is_recorded(done: subprocess.CompletedProcess) -> bool:
    assert done.returncode == 0, done.stderr
    assert done.stdout == "7\n['Completed']\n" and done.stderr == "", done.stderr
    return True


def newer_database(home: Path) -> Path:
    """The database of a newer Prefect, which the installed one cannot migrate."""
    home.mkdir(parents=True)
    with closing(sqlite3.connect(home / "prefect.db")) as made, made:
        made.execute("create table alembic_version (version_num varchar(32) not null primary key)")
        made.execute("insert into alembic_version values ('ffffffffffff')")
    return home / "prefect.db"


def test_the_users_database_is_not_touched_and_a_second_command_starts_from_the_caches(environment, tmp_path):
    theirs = newer_database(tmp_path / "home" / ".prefect")
    before = theirs.read_bytes()
    for _ in range(2):
        assert is_recorded(run(RECORD, environment))  # of one run each: they do not share a database
    assert theirs.read_bytes() == before
    assert [path.name for path in theirs.parent.iterdir()] == ["prefect.db"]
    assert [path.suffix for path in (tmp_path / "cache" / "maskmill").iterdir()] == [".db"]
    assert not list((tmp_path / "tmp").glob("maskmill-prefect-*"))


def test_a_flow_that_no_command_wraps_has_a_server_of_ours_too(environment, tmp_path):
    """As benchmarks and notebooks call flows."""
    theirs = newer_database(tmp_path / "home" / ".prefect")
    before = theirs.read_bytes()
    code = """
        from flows.base import flow
        from prefect.client.orchestration import get_client

        @flow(name="work")
        def work():
            with get_client(sync_client=True) as client:
                return [run.state.name for run in client.read_flow_runs()]

        print(work(), work())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=environment | {"PREFECT_LOGGING_LEVEL": "CRITICAL"}, cwd=environment["TMPDIR"],
        text=True, capture_output=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.stdout in ("['Running'] ['Completed', 'Running']\n", "['Running'] ['Running', 'Completed']\n"), (
        done.stderr
    )
    assert "track" not in done.stderr
    assert theirs.read_bytes() == before


@pytest.mark.parametrize(
    "changes",
    [
        {"HOME": "/proc/nohome", "XDG_CACHE_HOME": "/proc/nowhere"},
        {"HOME": None, "XDG_CACHE_HOME": None},
        {"PREFECT_API_URL": "", "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false"},
        {
            "PREFECT_API_DATABASE_CONNECTION_URL": "postgresql+asyncpg://127.0.0.1:1/x",
            "ALL_PROXY": "socks://127.0.0.1:9",
            "PREFECT_SERVER_API_BASE_PATH": "/elsewhere",
        },
    ],
    ids=["home and cache not writable", "no home set", "empty URL, no temporary servers", "settings of a server"],
)
def test_a_command_runs_whatever_the_users_machine_has(environment, changes):
    env = {name: value for name, value in (environment | changes).items() if value is not None}
    assert is_recorded(run(RECORD, env))


def test_a_user_without_an_entry_and_without_a_home_gets_one(environment):
    unknown = ("unshare", "--user", "--map-user=54321", "--map-group=54321")
    if subprocess.run([*unknown, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine allows no user namespaces")
    env = {name: value for name, value in environment.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    assert is_recorded(run(RECORD, env, *unknown))
    assert Path(env["TMPDIR"], "maskmill-54321").is_dir()


@pytest.mark.parametrize(
    "file, content, says",
    [
        ("home/.prefect/profiles.toml", "x = [", "home/.prefect/profiles.toml"),
        ("tmp/prefect.toml", "x = [", "prefect.toml"),
        ("home/.prefect/profiles.toml", 'active="a"\n[profiles.a]\nPREFECT_API_URL="http://127.0.0.1:1/api"', ":1/api"),
    ],
)
def test_settings_that_are_not_valid_or_name_no_server_are_one_line(environment, tmp_path, file, content, says):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(content)
    done = run("work()", environment)
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]  # before it, Prefect may say that it did not load its plugins
    assert line.startswith("maskmill: failed: ") and says in line and done.stderr.count("maskmill: ") == 1, done.stderr


def test_where_the_server_does_not_start_the_work_is_done_and_the_cause_is_said(environment, tmp_path):
    (tmp_path / "broken.py").write_text("raise RuntimeError('no disk is left')")
    code = f"""
        from flows.server import process, temporary
        temporary._servers[-1].process.kill()
        process.__file__ = {str(tmp_path / "broken.py")!r}
        temporary._servers.append(temporary.Server())
        with temporary._variables({{"PREFECT_API_URL": temporary._servers[-1].url}}):
            print(work())
    """
    begin = time.monotonic()
    done = run(code, environment)
    assert done.stdout == "7\n" and time.monotonic() < begin + 60
    assert done.stderr == (
        "maskmill: the work continues, but Prefect does not track it from its start on: its temporary server did not "
        "start (RuntimeError: no disk is left)\n"
    )


def test_a_killed_command_leaves_no_server_and_no_folder(environment, tmp_path):
    code = """
        work()
        import os, signal, flows.server.temporary as t
        print(t._servers[-1].process.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = run(code, environment)
    assert done.returncode == -signal.SIGKILL
    server = int(done.stdout)
    deadline = time.monotonic() + 20
    while psutil.pid_exists(server) or list((tmp_path / "tmp").glob("maskmill-prefect-*")):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\0" + b"\0" * 5000])
def test_a_damaged_database_in_the_cache_is_not_used(tmp_path, monkeypatch, content):
    monkeypatch.setattr(database, "kept", lambda: tmp_path / "kept.db")
    (tmp_path / "kept.db").write_bytes(content)
    database.copy_to(tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


def test_the_caches_database_is_the_one_that_was_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "kept", lambda: tmp_path / "cache" / "kept.db")
    newer = newer_database(tmp_path / "one")
    database.keep(newer)
    database.copy_to(tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("select version_num from alembic_version").fetchall() == [("ffffffffffff",)]
    database.forget()
    database.copy_to(tmp_path / "other.db")
    assert not (tmp_path / "other.db").exists()


def test_two_servers_are_two_databases():
    servers = [Server(), Server()]
    try:
        assert [server.why_not_there() for server in servers] == ["", ""]
        assert servers[0].url != servers[1].url
        httpx.post(f"{servers[0].url}/flows/", json={"name": "a"}, trust_env=False).raise_for_status()
        counts = [httpx.post(f"{server.url}/flows/count", json={}, trust_env=False).json() for server in servers]
        assert counts == [1, 0]
    finally:
        for server in servers:
            server.process.kill()
            server.process.wait()
