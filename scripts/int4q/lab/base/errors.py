# SPDX-License-Identifier: Apache-2.0
"""Errors that a user can do something about, as one line of the command that ran into them."""
import contextlib
import sys
from collections.abc import Iterator
from contextvars import ContextVar

_command = ContextVar("command", default="int4q.lab")


class Error(Exception):
    """One line for the user."""


def one_line(error: object) -> str:
    return " ".join(str(error).split())[:1000]


def last_line(said: str, status: int) -> str:
    """What a program died of, from what it said on standard error."""
    lines = said.strip().splitlines()
    return lines[-1] if lines else f"status {status}"


@contextlib.contextmanager
def user_errors(command: str, resumes: bool = False) -> Iterator[None]:
    """Ends the command with one line where the user can do something about it.

    `resumes`: the same command goes on where it was interrupted.
    """
    if sys.argv[0].startswith("int4q-lab "):
        command = sys.argv[0]  # as the user called it
    _command.set(command)
    try:
        yield
    except Error as error:
        sys.exit(f"{command}: {error}")
    except OSError as error:
        sys.exit(f"{command}: {error.filename}: {error.strerror}" if error.filename else f"{command}: {one_line(error)}")
    except KeyboardInterrupt:
        sys.exit(f"{command}: interrupted" + ("; what is done is kept, the same command goes on" if resumes else ""))


_told: set[str] = set()


def warn_once(text: str, of: str = "") -> None:
    """The same, of what comes up again and again: `of` is the first of the files of which it is true."""
    if text not in _told:
        _told.add(text)
        warn(f"{of}: {text}" if of else text)


def warn(text: str) -> None:
    """A line of the command on standard error."""
    print(f"{_command.get()}: {text}", file=sys.stderr)
