"""Names of classes: a list, a file with one class per line, or `imagenet-merged`; and the words that prompts use.

A class has a name, which the dataset keeps; phrases, which prompts use for it (its name unless others are given); and,
for ImageNet's categories, the group whose scenes suit it. Knows nothing of backbones.
"""

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.classes.imagenet import merged
from models.errors import UserError
from models.paths import given_path

MERGED = "imagenet-merged"
FILE_BYTES = 2**20
LONGEST = 100  # characters of a name


def resolve_classes(given: dict[str, Any]) -> dict[str, Any]:
    """A build's values with a file or `imagenet-merged` in `classes` replaced by its classes, phrases and groups.

    `classes` may be one text: a file (`is_file`), `imagenet-merged`, or names separated by commas; or a list of names,
    or of one that ends in .txt or exists as a file, or is `imagenet-merged`. Names may contain slashes. Phrases and
    groups that are given as well take precedence.
    """
    names = given.get("classes")
    if isinstance(names, str):
        is_list = is_file(names)
        names = [names] if is_list else names.split(",")
    elif isinstance(names, (list, tuple)):
        names = [_text(name) for name in names]
        is_list = len(names) == 1 and "/" in names[0] and is_path(names[0], Path.is_file)
    else:
        return given
    lists = [name.strip() for name in names if is_list or stands_for_list(name)]
    if lists and len(names) > 1:
        raise UserError(f"classes: {lists[0]} stands for a whole list; give it alone, or the names without it")
    if not lists:
        return given | {"classes": list(names)}
    phrases, groups = merged() if lists[0] == MERGED else (read_classes(given_path(lists[0])), {})
    other_phrases = {name: words for name, words in phrases.items() if words != (name,)}
    resolved: dict[str, Any] = {"phrases": other_phrases, "groups": groups}
    for field, values in resolved.items():
        given_values = given.get(field) or {}  # if it is not a mapping, the config's validation refuses it
        resolved[field] = values | given_values if isinstance(given_values, dict) else given_values
    return given | resolved | {"classes": list(phrases)}


def is_file(text: str) -> bool:
    """Whether `classes` as one text is a file's path, which may be missing, and not a class like 'T-shirt/top'.

    It ends in .txt, has a backslash, begins as paths do, or names something in a folder that exists.
    """
    path = text.strip()
    if path.lower().endswith(".txt") or "\\" in path or path.startswith(("/", "./", "../", "~")):
        return True
    return "/" in path and (is_path(path, Path.exists) or is_path(path.rpartition("/")[0], Path.exists))


def stands_for_list(name: str) -> bool:
    """Whether a name would be read as a list of classes, and so cannot be the name of one."""
    return name.strip() == MERGED or name.strip().lower().endswith(".txt")


def same(name: str) -> str:
    """What two spellings of one name have in common: names that differ only in case or in how accents are encoded."""
    return unicodedata.normalize("NFC", name).lower()


def is_path(text: str, of_kind: Callable[[Path], bool]) -> bool:
    """Whether the text is a path that there is, of a kind."""
    try:
        return of_kind(given_path(text.strip()))
    except (OSError, ValueError):  # too long for a path, or with characters that none has
        return False


def _text(name: Any) -> str:
    """A name in a list; UserError if it is a number, a truth value or nothing."""
    if not isinstance(name, str):
        raise UserError(
            f"classes: expected names, got {name!r}, as YAML reads a number, true, no or null; write it in quotes"
        )
    return name


def read_classes(file: Path) -> dict[str, tuple[str, ...]]:
    """Class -> its phrases, the name first; a line is `sofa` or `sofa: couch, settee`. UserError names the lines.

    One class per line, UTF-8 with or without a BOM; blank lines and comments, from a `#` at the start or after a space,
    are ignored.
    """
    phrases: dict[str, tuple[str, ...]] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(_lines(file), 1):
        if not line:
            continue
        name, _, rest = line.partition(":")
        if "," in name:
            raise UserError(f"classes: {file}, line {number}: expected 'name: synonym, synonym', got {line[:60]!r}")
        words = [name, *rest.split(",")] if rest.strip() else [name]
        words = [check_name(" ".join(word.split()), f"classes: {file}, line {number}") for word in words]
        if stands_for_list(words[0]):
            raise UserError(f"classes: {file}, line {number}: {words[0]!r} would stand for a whole list; rename it")
        for word in dict.fromkeys(map(same, words)):
            if word in lines:
                raise UserError(f"classes: {file}: {word!r} is in line {lines[word]} and line {number}; remove one")
            lines[word] = number
        phrases[words[0]] = tuple({same(word): word for word in reversed(words)}.values())[::-1]
    if not phrases:
        raise UserError(f"classes: {file}: expected one class per line, got none; write at least one")
    return phrases


def check_name(name: str, where: str = "classes") -> str:
    """The name; UserError if it is empty, too long, or has characters that are not printable."""
    if not name:
        raise UserError(f"{where}: expected one or more names, got an empty one; remove it from the list")
    if len(name) > LONGEST or not name.isprintable():
        shown = repr(name[:40] + "..." if len(name) > 40 else name)
        raise UserError(f"{where}: expected a name of at most {LONGEST} printable characters, got {shown}; change it")
    return name


def with_article(name: str) -> str:
    """'dog' -> 'a dog'."""
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _lines(file: Path) -> list[str]:
    """The file's lines without comments; blank lines are kept, so that line numbers are right."""
    try:
        if not file.is_file() or file.stat().st_size > FILE_BYTES:
            problem = (
                "is larger than 1 MB" if file.is_file() else "is not a file" if file.exists() else "does not exist"
            )
            raise UserError(
                f"classes: {file}: expected a file with one class per line, but it {problem}; check the path, or write "
                "names with a slash as a list, as in [T-shirt/top]"
            )
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"classes: {file}: cannot be read as UTF-8 text ({error}); save it as UTF-8") from None
    return [re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip() for line in text.split("\n")]
