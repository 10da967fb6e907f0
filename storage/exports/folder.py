"""An export's folder: written block by block beside its final path, then moved there complete.

Only an earlier export is ever replaced, and only if nobody has changed its files since.

For the folder NAME, `.NAME.partial` holds the plan, a record for each finished block, and the unfinished export.
Knows nothing of formats.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models import digests
from models.errors import UserError
from storage.atomic import old_of, partial_of, put, replacing
from storage.exports.plan import Block, Plan
from storage.places import check_place, check_writable

FACTS = "maskmill.json"  # marks a folder as an export
PLAN, NO_PLAN = "plan.json", "{}"
SUMS = "SHA256SUMS"  # as sha256sum writes and checks it


@dataclass(frozen=True)
class ExportFolder:
    """The folder of an export whose final path is `path`."""

    path: Path

    @classmethod
    def at(cls, path: Path) -> "ExportFolder":
        """Links are followed, so that the folder is renamed and not the link."""
        return cls(Path(os.path.realpath(path)))

    @property
    def partial(self) -> Path:
        return self.path.with_name(f".{self.path.name}.partial")

    @property
    def content(self) -> Path:
        """The folder that the unfinished export is written to."""
        return self.partial / "export"

    @property
    def _old(self) -> Path:
        return old_of(self.path)

    def check(self, overwrite: bool) -> None:
        """UserError if the folder cannot be written, or its content may not be replaced. Writes nothing."""
        if unfinished := [p for p in self.path.parts if p.startswith(".") and p.endswith((".partial", ".old"))]:
            raise UserError(f"--out {self.path}: {unfinished[0]} is a name for unfinished exports; choose another path")
        check_writable(self.path.parent)
        self._check_place(overwrite)
        for folder in (self.partial, self._old):
            if folder.exists() and not _is_ours(folder):
                raise UserError(f"{folder}: the export needs this name, but did not make this folder; move it away")
        if self.partial.exists():
            with self._held():
                pass

    @contextmanager
    def begun(self, plan: Plan) -> Iterator[None]:
        """Lock the folder for this process; keep the finished blocks of an earlier export of the same plan, if any."""
        self.partial.mkdir(parents=True, exist_ok=True)
        with self._held():
            wanted, file = json.dumps(plan.as_json()), self.partial / PLAN
            if not file.exists() or file.read_text(encoding="utf-8") != wanted:
                shutil.rmtree(self._records, ignore_errors=True)
                shutil.rmtree(self.content, ignore_errors=True)
                _write(file, wanted)
            self._records.mkdir(exist_ok=True)
            self.content.mkdir(exist_ok=True)
            yield

    def plan(self) -> Plan:
        """The plan of the unfinished export."""
        return Plan.from_json(json.loads((self.partial / PLAN).read_text(encoding="utf-8")))

    def is_done(self, block: Block) -> bool:
        return self._record(block).exists()

    def record(self, block: Block, facts: dict[str, Any]) -> None:
        """Record that a block is written, with the facts that its format needs in `finish`.

        The file system is synced first, so that no record exists without its block's files on disk.
        """
        os.sync()
        _write(self._record(block), json.dumps(facts))

    def facts(self, block: Block) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads(self._record(block).read_text(encoding="utf-8"))
        return facts

    def finish(self, facts: dict[str, Any], overwrite: bool) -> None:
        """Add the facts and the checksums, and move the export to its final path."""
        (self.content / FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        (self.content / SUMS).unlink(missing_ok=True)
        sums = "".join(f"{_digest(self.content / name)}  {name}\n" for name in _files(self.content))
        (self.content / SUMS).write_text(sums, encoding="utf-8")
        self._check_place(overwrite)  # again: the path may have changed since the first check
        _write(self.partial / PLAN, NO_PLAN)  # after a kill from here on, the next export starts again
        put(self.content, self.path)
        shutil.rmtree(self.partial, ignore_errors=True)

    def _check_place(self, overwrite: bool) -> None:
        check_place(self.path, "export", is_ours=_is_export)
        if not self.path.exists() or not any(self.path.iterdir()):
            return
        if not overwrite:
            raise UserError(f"--out {self.path}: already exists; choose another path, or --overwrite an earlier export")
        if changed := _first_change(self.path):
            raise UserError(f"--overwrite {self.path}: {changed}; move it away, or choose another --out")

    @property
    def _records(self) -> Path:
        return self.partial / "blocks"

    def _record(self, block: Block) -> Path:
        return self._records / f"{block.name}.json"

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Lock the partial folder itself; the kernel releases the lock when the process ends, also after a crash."""
        folder = os.open(self.partial, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise UserError(f"{self.path}: another export is writing it; wait for it to end") from None
        finally:
            os.close(folder)


def _first_change(folder: Path) -> str:
    """How a folder differs from the export as it was written, in a few words; '' if nothing would be lost."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        written = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except (ValueError, OSError):
        return f"{SUMS} is not as maskmill wrote it"
    for name in _files(folder):
        if name not in written and name != SUMS:
            return f"{name} does not belong to the export"
        if name != SUMS and written[name] != _digest(folder / name):
            return f"{name} has changed since it was exported"
    return ""


def _files(folder: Path) -> Iterator[str]:
    """Relative paths of everything in the folder except subfolders, sorted."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_dir():
            yield path.relative_to(folder).as_posix()


def _digest(path: Path) -> str:
    """SHA-256 of a file; '' for a link and anything that is not a file."""
    if path.is_symlink() or not path.is_file():
        return ""
    return digests.of_file(path)


def _is_export(folder: Path) -> bool:
    return (folder / FACTS).is_file() and (folder / SUMS).is_file()


def _is_ours(folder: Path) -> bool:
    """Whether a folder is a finished or unfinished export."""
    marks = (PLAN, partial_of(Path(PLAN)).name, FACTS)
    return folder.is_dir() and (not any(folder.iterdir()) or any((folder / mark).is_file() for mark in marks))


def _write(path: Path, text: str) -> None:
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
