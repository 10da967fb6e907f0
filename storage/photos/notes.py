"""What was left out, dropped, resized or chosen when a folder was read: counted in a line, and listed in a text file.

Knows nothing of the reasons.
"""

from dataclasses import dataclass, field
from pathlib import Path

from models.errors import encodable
from storage.atomic import replacing
from storage.photos.boxes import some

NOTES_FILE = "files.txt"  # in the folder of what was made of the files


@dataclass(frozen=True)
class Notes:
    """reasons: what was done and why -> file -> its details, if it has any."""

    reasons: dict[str, dict[Path, str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.reasons)

    def add(self, reason: str, file: Path, detail: str = "") -> None:
        self.reasons.setdefault(reason, {})[file] = detail

    def update(self, other: "Notes") -> None:
        for reason, files in other.reasons.items():
            self.reasons.setdefault(reason, {}).update(files)

    def line(self) -> str:
        """The number of files and the first of them, by reason, in a line; '' if there are none."""
        return encodable("; ".join(f"{len(files)} {reason}: {_names(files)}" for reason, files in self.reasons.items()))

    def write(self, path: Path) -> None:
        """Write every file with its reason, or remove the list of an earlier run if there are none."""
        if not self:
            path.unlink(missing_ok=True)
            return
        rows = [(reason, file, detail) for reason, files in self.reasons.items() for file, detail in files.items()]
        text = "".join(f"{'; '.join(filter(None, (reason, detail)))}\t{str(file)!r}\n" for reason, file, detail in rows)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_text(encodable(text), encoding="utf-8")


def _names(files: dict[Path, str]) -> str:
    return some("/".join(file.parts[-2:]) for file in files)
