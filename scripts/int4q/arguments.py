# SPDX-License-Identifier: Apache-2.0
"""Options of Python as arguments of the program."""
import functools
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, TypeAlias

from int4q.installation import find_program

PathLike: TypeAlias = str | os.PathLike[str]
Option: TypeAlias = PathLike | bool | int | float | Sequence[PathLike | int | float] | Mapping[str, Any] | None
REPEATABLE = ("include", "exclude", "include_from", "exclude_from", "require", "keep_activations")
OWN = {"output": "use dst=PATH", "json": "the report that is returned has it as report.json", "help": "use help(int4q)"}


def refuse_own(command: str, options: Mapping[str, Option]) -> None:
    """A TypeError for options of the program whose work this package does itself."""
    for name in options:
        if instead := OWN.get(name.rstrip("_")):
            raise TypeError(f"{command}: no option {name} in Python: {instead}")


def arguments(command: str, options: Mapping[str, Option], folder: Path) -> Iterator[str]:
    """Those of the program; what is to be in a file is written into this folder."""
    for name, value in options.items():
        word = name.rstrip("_").replace("_", "-")
        if isinstance(value, Mapping):
            path = folder / f"{name}.json"
            path.write_text(json.dumps(value), encoding="utf-8")
            yield f"--{word}={path}"
        elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
            values = [_text(name, item) for item in value]
            yield from (f"--{word}={item}" for item in (values if name in REPEATABLE else [",".join(values)]))
        elif value is None or isinstance(value, bool):
            known = _known(find_program(), command)
            if value and word in known and known[word]:
                raise TypeError(f"{name}: a value is wanted ({known[word]}), not True")
            yield from _switch(word, value, set(known))
        else:
            yield f"--{word}={_text(name, value)}"


def _switch(word: str, value: bool | None, known: set[str]) -> Iterator[str]:
    """X=False is --no-X where there is one. Of a name that it does not know the program is to say so, whatever the value."""
    opposite = f"no-{word}"
    if not known & {word, opposite} or (value and word in known):
        yield f"--{word}"
    elif value is False and opposite in known:
        yield f"--{opposite}"


@functools.cache
def _known(program: str, command: str) -> dict[str, str]:
    """{long option of this command: what its value is called, "" without one}, from its help."""
    done = subprocess.run([program, command, "--help"], stdin=subprocess.DEVNULL, capture_output=True, check=True,
                          encoding="utf-8")
    return dict(re.findall(r"^  (?:-\w, |    )--([a-z0-9-]+) ?(\S*)", done.stdout, re.MULTILINE))


def _text(name: str, value: object) -> str:
    if isinstance(value, str | os.PathLike):
        return os.fspath(value)
    if isinstance(value, Real):
        return str(value)
    raise TypeError(f"{name}: a string, path or number is wanted, not {type(value).__name__}")
