"""Names of classes: a list, a file with one class a line, or `imagenet-merged`; and the words a prompt may use.

A class has its name, which the dataset keeps, the phrases that prompts name it by (its name unless others are given),
and, of ImageNet's categories, the group whose scenes suit it. Knows nothing of backbones.
"""

import re
from pathlib import Path
from typing import Any

from models.classes.imagenet import merged
from models.errors import UserError

MERGED = "imagenet-merged"
FILE_BYTES = 2**20
LONGEST = 100  # characters of a name


def resolve_classes(given: dict[str, Any]) -> dict[str, Any]:
    """A build's choices with `classes` spelt out: classes, phrases and groups of a file or of `imagenet-merged`.

    `classes` may be a list, or one text: names separated by commas. An entry that ends in .txt or has a path separator
    in it is a file; like `imagenet-merged`, it stands alone. Phrases and groups that are given beside it win.
    """
    names = given.get("classes")
    if isinstance(names, str):
        names = [names] if is_file(names) else names.split(",")
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        return given
    named = [name.strip() for name in names if name.strip() == MERGED or is_file(name)]
    if named and len(names) > 1:
        raise UserError(f"classes: {named[0]} stands for a whole list; give it alone, or the names without it")
    if not named:
        return given | {"classes": list(names)}
    phrases, groups = merged() if named[0] == MERGED else (read_classes(Path(named[0])), {})
    own = {name: words for name, words in phrases.items() if words != (name,)}
    spelt: dict[str, Any] = {"phrases": own, "groups": groups}
    for field, found in spelt.items():
        beside = given.get(field) or {}
        spelt[field] = found | beside if isinstance(beside, dict) else beside  # what is no mapping the config refuses
    return given | spelt | {"classes": list(phrases)}


def is_file(name: str) -> bool:
    """Whether an entry of `classes` is read as a file's path."""
    return name.strip().lower().endswith(".txt") or "/" in name or "\\" in name


def read_classes(file: Path) -> dict[str, tuple[str, ...]]:
    """Phrases by class, as in `sofa: couch, settee`; the name itself is the first. UserError names the lines.

    One class a line, UTF-8 with or without a BOM; blank lines, and what follows a `#` at the start or after a space,
    are left out.
    """
    phrases: dict[str, tuple[str, ...]] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(_lines(file), 1):
        if not line:
            continue
        name, _, rest = line.partition(":")
        if "," in name:
            raise UserError(f"classes: {file}, line {number}: expected name: synonym, synonym; got {line[:60]!r}")
        words = [name, *rest.split(",")] if rest.strip() else [name]
        words = [check_name(" ".join(word.split()), f"classes: {file}, line {number}") for word in words]
        for word in dict.fromkeys(word.lower() for word in words):
            if word in lines:
                raise UserError(f"classes: {file}: {word!r} stands in line {lines[word]} and line {number}; drop one")
            lines[word] = number
        phrases[words[0]] = tuple({word.lower(): word for word in reversed(words)}.values())[::-1]
    if not phrases:
        raise UserError(f"classes: {file}: expected one class a line, found none; write at least one")
    return phrases


def check_name(name: str, where: str = "classes") -> str:
    """The name; UserError where it is empty, too long, or has characters that are no text."""
    if not name:
        raise UserError(f"{where}: expected one or more names, got an empty one; remove it from the list")
    if len(name) > LONGEST or not name.isprintable():
        shown = repr(name[:40] + "..." if len(name) > 40 else name)
        raise UserError(f"{where}: expected a name of {LONGEST} printable characters at most, got {shown}; change it")
    return name


def with_article(name: str) -> str:
    """'dog' -> 'a dog'."""
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _lines(file: Path) -> list[str]:
    """The file's lines without comments, blank ones left in as such, so that they can be counted."""
    try:
        if not file.is_file() or file.stat().st_size > FILE_BYTES:
            found = "one of more than 1 MB" if file.is_file() else "something else" if file.exists() else "none"
            raise UserError(f"classes: {file}: expected a file with one class a line, found {found}; check --classes")
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"classes: {file}: cannot be read as UTF-8 text ({error}); save it as UTF-8") from None
    return [re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip() for line in text.split("\n")]
