"""Text for reports, cards and other formats: untrusted text escaped, and how a stored configuration samples."""

import html
from collections.abc import Mapping
from typing import Any

from models.config.sampling import is_papers


def escape(text: object) -> str:
    """Untrusted text as escaped markdown on one line, cut to 120 characters before escaping."""
    plain = html.escape(" ".join(str(text).split())[:120])
    return "".join(f"&#{ord(c)};" if c in "|[]()!*_`\\" else c for c in plain)


def printable(text: str) -> str:
    """Text on one line; unprintable characters, which XML forbids, become the replacement character."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))


def steps_line(sampling: Mapping[str, Any]) -> str:
    """Steps of a stored section that are not all the paper's, as in '20 steps of dpm++, trailing'; '' for DDIM's."""
    scheduler, spacing = sampling.get("scheduler", "ddim"), sampling.get("spacing")
    if is_papers(scheduler, spacing):
        return ""
    return f"{sampling.get('steps', '?')} steps of {scheduler}" + (f", {spacing}" if spacing else "")
