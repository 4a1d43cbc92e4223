# SPDX-License-Identifier: Apache-2.0
"""int4q-lab: experiments around int4q, from a detector to the candidate to take.

    int4q-lab COMMAND [options]
    int4q-lab COMMAND --help

Each command is a module of int4q.lab.commands. They need the packages of `pip install 'int4q[lab]'`.
"""
import ast
import difflib
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from int4q.installation import how_to_get

COMMANDS = Path(__file__).parent / "commands"
FOR_DEVELOPERS = {"bench", "bench_runtime", "make_sized", "other_tools", "try_models"}  # of int4q, not listed


def module_of(command: str) -> str:
    return command.replace("-", "_")


def known_commands() -> dict[str, Path]:
    """{name: file}"""
    return {path.stem.replace("_", "-"): path for path in sorted(COMMANDS.glob("*.py")) if path.stem != "__init__"}


def about(path: Path) -> str:
    """The first line of what a module says of itself, which is not loaded for it."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def usage() -> str:
    rows = [f"    {name:20} {about(path)}" for name, path in known_commands().items() if path.stem not in FOR_DEVELOPERS]
    return "\n".join([str(__doc__).strip(), "", "Commands:", "", *rows])


def run_command(name: str, argv: Sequence[str] | None = None) -> int:
    """The status that a program with this command ends with."""
    try:
        command = importlib.import_module(f"int4q.lab.commands.{module_of(name)}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "int4q":
            raise
        print(f"{sys.argv[0]}: the Python package {error.name} is missing: {how_to_get('lab')}", file=sys.stderr)
        return 1
    return int(command.main(argv) or 0)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if arguments else 2
    name = arguments[0]
    if name.replace("_", "-") not in known_commands():
        near = difflib.get_close_matches(name.replace("_", "-"), known_commands(), 1)
        hint = f": did you mean '{near[0]}'?" if near else "; int4q-lab --help lists them"
        print(f"int4q-lab: unknown command '{name}'{hint}", file=sys.stderr)
        return 2
    sys.argv[0] = f"int4q-lab {name}"  # in helps and errors
    return run_command(name, arguments[1:])
