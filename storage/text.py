"""Text of unknown origin (classes, prompts, reasons), made harmless where a format gives characters a meaning."""

import html


def escape(text: object) -> str:
    """Text of unknown origin as harmless markdown on one line, at most 120 characters of it."""
    plain = html.escape(" ".join(str(text).split())[:120])
    return "".join(f"&#{ord(c)};" if c in "|[]()!*_`\\" else c for c in plain)


def printable(text: str) -> str:
    """Text on one line in which what cannot be printed, and so stands in no XML, is the replacement character."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))
