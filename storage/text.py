"""Escaping of untrusted text (classes, prompts, reasons) for formats that give some characters a meaning."""

import html


def escape(text: object) -> str:
    """Untrusted text as escaped markdown on one line, cut to 120 characters before escaping."""
    plain = html.escape(" ".join(str(text).split())[:120])
    return "".join(f"&#{ord(c)};" if c in "|[]()!*_`\\" else c for c in plain)


def printable(text: str) -> str:
    """Text on one line; unprintable characters, which XML forbids, become the replacement character."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))
