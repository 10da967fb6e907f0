"""The commands for the reference, as Markdown, read from the command line itself. Knows nothing of mkdocs."""

from typing import Any

import typer.main
from fields import linked

from maskmill.cli import app


def commands() -> str:
    """Every command: what it does, its usage, its arguments and options, an example."""
    group: Any = typer.main.get_command(app)
    shared = [f"- `{param.opts[0]}`: {_text(param.help)}" for param in group.params if "completion" not in param.name]
    parts = ["Options of `maskmill` itself:\n\n" + "\n".join(shared)]
    return "\n\n".join([*parts, *(_command(name, command) for name, command in group.commands.items())])


def _command(name: str, command: Any) -> str:
    parts = [param for param in command.params if param.name != "help"]
    arguments = [param for param in parts if param.param_type_name == "argument"]
    options = [param for param in parts if param.param_type_name == "option"]
    usage = ["maskmill", name, *map(_placeholder, arguments), "[OPTIONS]"]
    lines = [
        f"## {name}",
        _text(command.help),
        f"```\n{' '.join(usage)}\n```",
        "| argument or option | what |\n|---|---|",
    ]
    lines[-1] += "".join(f"\n| {_spelling(param)} | {_meaning(param)} |" for param in [*arguments, *options])
    if command.epilog:
        lines.append(f"```\n{command.epilog.removeprefix('Example: ')}\n```")
    return "\n\n".join(lines)


def _placeholder(argument: Any) -> str:
    return argument.name.upper() + ("..." if argument.nargs == -1 else "")


def _spelling(param: Any) -> str:
    if param.param_type_name == "argument":
        return f"`{_placeholder(param)}`"
    name = max(param.opts, key=len)
    return f"`{name}`" if param.is_flag else f"`{name} {name.removeprefix('--').upper()}`"


def _meaning(param: Any) -> str:
    default = param.default
    shown = "" if default is None or callable(default) or default in (False, [], ()) else f" Default: `{default}`."
    return f"{_text(param.help)}{shown}{' **Required.**' if param.required else ''}".replace("|", "\\|")


def _text(help_text: str | None) -> str:
    """Help as Markdown: paragraphs stay, stars and brackets are themselves, and pages that it names become links."""
    paragraphs = (help_text or "").replace("*", "\\*").replace("[", "\\[").split("\n\n")
    return linked("\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs))
