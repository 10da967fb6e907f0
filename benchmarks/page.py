"""docs/benchmarks.md and its tables, rendered from docs/benchmarks/*.json.

No figure in the docs is typed by hand. Knows nothing of the measurements.
"""

from typing import Any

from benchmarks.intervals import words


def page(records: list[dict[str, Any]]) -> str:
    """The text of docs/benchmarks.md."""
    head = "# Benchmarks\n\nRendered from docs/benchmarks/*.json by `maskmill bench`; nothing here is typed by hand.\n"
    return "\n".join([head, *(section(record) for record in records)])


def section(record: dict[str, Any]) -> str:
    """One benchmark: command, hardware, and its figures or its tables."""
    lines = [
        f"## {record['name']}\n",
        f"`{record['command']}` at commit {record['commit']}, {record['date']}, {record['hardware']}, "
        f"{record['count']} {record.get('source', 'scenes and samples')}\n",
    ]
    return "\n".join(lines + (tables(record) if "tables" in record else figures(record))) + "\n"


def figures(record: dict[str, Any]) -> list[str]:
    """One row per figure, with its target if there is one."""
    lines = ["| figure | measured | to reach |", "|---|---|---|"]
    for name, value in record["figures"].items():
        bar = record["bars"].get(name)
        verdict = "" if bar is None else f"{bar:g} {'reached' if value >= bar else '**not reached**'}"
        lines.append(f"| {name} | {value:.4g} | {verdict} |")
    return lines


def tables(record: dict[str, Any]) -> list[str]:
    """Each table with its title and its note, if any, and one line per verdict."""
    lines = []
    for table in record["tables"]:
        lines += [f"### {table['title']}\n", markdown_row(table["columns"]), "|---" * len(table["columns"]) + "|"]
        lines += [*(markdown_row(row) for row in table["rows"]), ""]
        lines += [f"{table['note']}\n"] if table["note"] else []
    return [*lines, *(f"- {question}: {answer}" for question, answer in record["verdicts"].items())]


def markdown_row(cells: list[Any]) -> str:
    """Text unchanged, a number with three decimals, [mean, low, high] as 'mean [low, high]'."""
    shown = (
        cell if isinstance(cell, str) else words(cell) if isinstance(cell, list) else f"{cell:.3f}" for cell in cells
    )
    return f"| {' | '.join(shown)} |"
