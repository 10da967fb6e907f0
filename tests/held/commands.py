"""Run maskmill's commands by the code of any checkout, in a process of its own: today's, or an older one's.

As a script it is that process: it reads a JSON list of command lines, runs each as the terminal would, and prints for
each its exit code, stdout and stderr. One process for many commands, because each start costs seconds.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Result:
    """What a command ended with."""

    code: int
    stdout: str
    stderr: str


def run_all(checkout: Path, folder: Path, commands: list[list[str]]) -> list[Result]:
    """Run maskmill commands of `checkout` in `folder`, one after the other, on one thread."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "PREFECT_HOME": str(folder / ".prefect")}
    done = subprocess.run(
        [sys.executable, __file__, str(checkout)],
        cwd=folder,
        env=environment,
        input=json.dumps(commands),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return [Result(**each) for each in json.loads(done.stdout.splitlines()[-1])]


def main(checkout: str) -> None:
    """Run what stdin has."""
    from typer.testing import CliRunner

    try:
        from maskmill.cli import app
    except ImportError:  # up to fc9895f maskmill was one file
        from maskmill import app  # type: ignore[no-redef]
    assert Path(sys.modules[app.registered_commands[0].callback.__module__].__file__ or "").is_relative_to(checkout)
    results = []
    for command in json.load(sys.stdin):
        result = CliRunner().invoke(app, command)
        results.append({"code": result.exit_code, "stdout": result.stdout, "stderr": result.stderr})
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1])
