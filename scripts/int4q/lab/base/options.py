# SPDX-License-Identifier: Apache-2.0
"""What the parsers of the commands share."""
import argparse
from collections.abc import Callable, Collection
from typing import NoReturn, TypeVar

T = TypeVar("T")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in a line, without all options before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; --help tells more\n")


def command_parser(about: str | None, epilog: str | None = None) -> argparse.ArgumentParser:
    """A parser whose help is the text of the command's module."""
    return Parser(description=about, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter)


def listed(read: Callable[[str], T]) -> Callable[[str], list[T]]:
    """A type for argparse: values separated by commas, each as `read` takes it."""
    def read_all(text: str) -> list[T]:
        return [read(part.strip()) for part in text.split(",") if part.strip()]
    read_all.__name__ = "list"  # for argparse's errors
    return read_all


def one_of(known: Collection[str]) -> Callable[[str], str]:
    """A value that must be known."""
    def read(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(f"{text}: none of {', '.join(known)}")
        return text
    return read
