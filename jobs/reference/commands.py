"""The page of commands: each one's help, arguments, options and example, as the command line itself knows them."""

import re
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import typer

from pipeline.markdown import code, plain, table

_KINDS = {int: "INTEGER", float: "NUMBER", str: "TEXT"}
_EXAMPLE = re.compile(r"Example: `([^`]+)`")


def commands() -> str:
    """Return the page."""
    parts = [
        "# Commands",
        "Made by `make docs` from the command line itself; `weft COMMAND --help` says the same. A mistake is one line "
        "and exit status 2: see [faq.md](faq.md). `weft verify` ends with 1 where it finds defects. A command whose "
        "output nobody reads any more, as when a pager is left, ends with 141; one that loses the reader of "
        "its progress goes on.",
        "`-h` explains every command, `weft --version` prints the version, and `weft --install-completion` has the "
        "shell complete commands and options.",
        *(_command(name, command) for name, command in walk()),
    ]
    return "\n\n".join(parts) + "\n"


def walk() -> Iterator[tuple[str, Any]]:
    """Yield every command with its whole name, in the order of the help."""
    from jobs.cli import program  # noqa: F401  # adds every command
    from jobs.cli.options import app

    def below(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
        for name, command in group.commands.items():
            whole = f"{prefix} {name}"
            if hasattr(command, "commands"):
                yield from below(command, whole)
            else:
                yield whole, command

    return below(typer.main.get_command(app), "weft")


def _command(name: str, command: Any) -> str:
    about = re.sub(r"(?<!\n)\n(?!\n)", " ", command.help or "")
    shown = [p for p in command.params if not getattr(p, "hidden", False)]
    arguments = [p for p in shown if p.param_type_name == "argument"]
    usage = " ".join([name, *(_shown(p) for p in arguments), "[OPTIONS]"])
    rows = [[_names(p), _help(p.help or ""), _default(p)] for p in shown]
    parts = [f"## {code(name)}", f"```text\n{usage}\n```", _EXAMPLE.sub("", about).strip()]
    if rows:
        parts.append(table(("argument or option", "what it does", "default"), rows))
    parts += [f"Example:\n\n```\n{example}\n```" for example in _EXAMPLE.findall(about)]
    return "\n\n".join(parts)


def _help(text: str) -> str:
    """Leave the code spans of a help text as they are, and escape the rest."""
    return "".join(part if part.startswith("`") else plain(part) for part in re.split(r"(`[^`]*`)", text))


def _shown(argument: Any) -> str:
    name: str = argument.metavar or argument.name.upper()
    return name if argument.required else f"[{name}]"


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return code(_shown(parameter))
    names = ", ".join(code(n) for n in (*parameter.opts, *parameter.secondary_opts))
    if parameter.is_flag:
        return names
    kind = parameter.type_descriptor.annotation
    metavar = parameter.metavar or ("|".join(get_args(kind)) if get_origin(kind) is Literal else _KINDS[kind])
    return f"{names} {code(metavar)}" + (" *(repeatable)*" if parameter.multiple else "")


def _default(parameter: Any) -> str:
    if parameter.required:
        return "*needed*"
    value = parameter.default
    if getattr(parameter, "is_flag", False):
        return code(parameter.opts[0]) if value and parameter.secondary_opts else ""
    return code(str(value)) if isinstance(value, str | int | float) and value != "" else ""
