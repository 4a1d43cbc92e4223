# SPDX-License-Identifier: Apache-2.0
"""What the parsers of the commands share."""
import argparse
from collections.abc import Callable
from typing import Any


def command_parser(about: str | None, epilog: str | None = None) -> argparse.ArgumentParser:
    """A parser whose help is the text of the command's module."""
    return argparse.ArgumentParser(description=about, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter)


def listed(known: type[int] | tuple[str, ...] | None = None) -> Callable[[str], list[Any]]:
    """A type for argparse: values separated by commas."""
    def read(text: str) -> list[Any]:
        values = [v.strip() for v in text.split(",") if v.strip()]
        if known is None:
            return values
        if known is int:
            return [int(v) for v in values]
        for value in values:
            if value not in known:
                raise argparse.ArgumentTypeError(f"{value}: none of {', '.join(known)}")
        return values
    read.__name__ = "list"
    return read
