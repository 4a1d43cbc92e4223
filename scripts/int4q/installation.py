# SPDX-License-Identifier: Apache-2.0
"""Where the tool and its library for ONNX Runtime lie: in a wheel, in a checkout, or on the system.

Only Python's own library is needed here: whatever else is missing, this works.
"""
import os
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
PROGRAM, PROGRAM_VARIABLE = "int4q", "INT4Q"
LIBRARY, LIBRARY_VARIABLE = "libint4q_ort.so", "INT4Q_OPS_LIBRARY"


def checkout() -> Path | None:
    """The folder of the sources, if this package lies in them."""
    root = PACKAGE.parent.parent
    return root if (root / "CMakeLists.txt").exists() else None


def how_to_get(extra: str) -> str:
    """What installs the packages of an extra of pyproject.toml."""
    if not checkout():
        return f"pip install 'int4q[{extra}]'"
    return {"lab": "activate the environment that scripts/quickstart.sh makes: . .venv/bin/activate",
            "export": "pip install -r scripts/requirements-export.txt"}[extra]


def _program_folders() -> Iterator[Path]:
    """Of what belongs to this package, before any other int4q in PATH."""
    root = checkout()
    if root:
        yield root / "build" / "release"
        return
    yield Path(sysconfig.get_path("scripts"))
    yield PACKAGE.parent / "bin"  # pip install --target
    yield Path(sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user")))
    yield PACKAGE.parents[2] / "bin"  # cmake --install: the package is in PREFIX/share/int4q


def find_program(wanted: str | None = None) -> str:
    """Path of the tool: the one that is wanted, or that $INT4Q names, or that came with this package, or in PATH.

    Raises FileNotFoundError.
    """
    wanted = wanted or os.environ.get(PROGRAM_VARIABLE)
    own = (str(folder / PROGRAM) for folder in _program_folders())
    found = shutil.which(wanted) if wanted else next(filter(shutil.which, own), None) or shutil.which(PROGRAM)
    if not found:
        root = checkout()
        built = f" at {root / 'build' / 'release' / PROGRAM}" if root else ""
        raise FileNotFoundError(f"{wanted}: no such program" if wanted else
                                f"no {PROGRAM}{built} or in PATH; build it, or name it by {PROGRAM_VARIABLE}")
    return os.path.abspath(found)


def _libraries() -> Iterator[Path]:
    """In a wheel, beside the program that is built, and below the folder that the one in PATH is installed in."""
    yield PACKAGE / LIBRARY
    root = checkout()
    if root:
        yield root / "build" / "release" / LIBRARY
    program = shutil.which(PROGRAM)
    if program:
        prefix = Path(program).resolve().parents[1]
        yield from sorted(path for pattern in (f"lib*/{LIBRARY}", f"lib*/*/{LIBRARY}") for path in prefix.glob(pattern))


def find_library() -> str | None:
    """Path of the library that is installed."""
    return next((str(path) for path in _libraries() if path.exists()), None)


def ops_library() -> str:
    """Path of the library that lets ONNX Runtime compute from files of `--decode nbits`.

        options.register_custom_ops_library(int4q.ops_library())

    $INT4Q_OPS_LIBRARY may name another one. Raises FileNotFoundError where there is none: wheels for musl have none, since
    there is no ONNX Runtime that could load it.
    """
    found = os.environ.get(LIBRARY_VARIABLE) or find_library()
    if not found or not os.path.exists(found):
        raise FileNotFoundError(f"{found}: no such library" if found else f"{LIBRARY} is not in this installation of int4q")
    return os.path.abspath(found)
