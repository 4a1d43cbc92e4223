# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all, what they hold, and results that survive."""
import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from typing import IO, Any

from int4q.lab.base.errors import Error, one_line
from int4q.lab.base.types import Row


def digest(*parts: object) -> str:
    """Hexadecimal SHA-256 of the JSON of these values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def file_sha256(path: str) -> str:
    """In hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_folder(path: str) -> str:
    os.makedirs(path, exist_ok=True)
    return path


def need_file_name(path: str) -> None:
    """An Error where what is to be written after long work is a directory already."""
    if os.path.isdir(path):
        raise Error(f"{path}: is a directory")


def need_folder(path: str) -> None:
    """The same where the folder of the file is missing: perhaps its name is misspelt."""
    need_file_name(path)
    if not os.path.isdir(os.path.dirname(os.path.realpath(path))):
        raise Error(f"{path}: cannot create: the folder does not exist")


@contextlib.contextmanager
def whole_file(path: str) -> Iterator[IO[bytes]]:
    """A new file under another name, moved into place when all has been written; its folder is made.

    What is no file, a pipe or a device, is written to as it is.
    """
    path = os.path.realpath(path)
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as file:
            yield file
        return
    make_folder(os.path.dirname(path))
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def write_whole(path: str, data: bytes | str) -> None:
    with whole_file(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def write_json(path: str, data: object) -> None:
    write_whole(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def read_json(path: str) -> Any:
    try:
        with open(path, encoding="utf-8-sig") as file:
            return json.load(file)
    except OSError as error:
        raise Error(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Error(f"{path}: not JSON, nor any text") from error
    except ValueError as error:
        raise Error(f"{path}: not JSON: {one_line(error)}") from error


class Journal:
    """Finished results, a line of JSON each, on the disk as soon as they are known.

    A line that a killed program left half written is dropped when the file is opened again.
    """

    def __init__(self, path: str) -> None:
        self.path, self.rows = path, []
        make_folder(os.path.dirname(os.path.abspath(path)))
        kept = b""
        if os.path.exists(path):
            with open(path, "rb") as file:
                kept = file.read()
        whole = kept[:kept.rfind(b"\n") + 1]
        if whole != kept:
            write_whole(path, whole)
        self.rows = [json.loads(line) for line in whole.splitlines()]

    def add(self, row: Row) -> None:
        self.rows.append(row)
        with open(self.path, "ab") as file:
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
