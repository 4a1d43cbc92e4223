#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hold the C code to its floors: which room of src may know which, and that no modules know each other in a circle.

    layers.py [ROOT] [--objects DIR]

A module is a .c with its .h.  With objects, what they call counts as well as what is included: a function that the
header of one module declares and another one defines makes an arrow that includes do not show.
"""
import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# From the ground up; rooms on one floor know nothing of each other. A folder that is not named belongs to the room
# that it lies in.
FLOORS = [
    ["base"],
    ["platform"],
    ["kernels", "onnx"],
    ["onnx/opset", "quantize"],
    ["forms", "ort"],
    ["plan/means"],
    ["plan"],
    ["rewrite", "inspect"],
    ["report"],
    ["cli"],
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# What a room may not know although it lies below.
FORBIDDEN = {("ort", "onnx")}
# Headers of what those above are to define.
PORTS = ["base/system.h"]

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)

Arrows = dict[str, set[str]]  # from a module, named without suffix, to those that it knows


def room_of(module: str) -> str:
    """The room that a module is in."""
    for folder in Path(module).parents:
        if str(folder) in FLOOR:
            return str(folder)
    raise SystemExit(f"layers.py: no floor for src/{module}")


def includes(source: Path) -> Arrows:
    """What each module includes of others."""
    arrows: Arrows = {}
    for path in sorted(source.rglob("*.[ch]")):
        module = str(path.relative_to(source).with_suffix(""))
        names = (Path(name) for name in INCLUDE.findall(path.read_text(encoding="utf-8")))
        known = {str(name.with_suffix("")) for name in names if (source / name).is_file()}
        arrows.setdefault(module, set()).update(known - {module})
    return arrows


def symbols(objects: Path) -> Iterator[tuple[str, str, bool]]:
    """Module, name, and whether it defines it, of all global symbols in the folders TARGET.dir that CMake has."""
    paths = sorted(objects.glob("*.dir/**/*.o"))
    text = subprocess.run(["nm", "-A", "-g", "-P", *paths], check=True, capture_output=True, text=True).stdout
    for line in text.splitlines():
        path, name, kind = line.split()[:3]
        module = "/".join(Path(path).relative_to(objects).parts[1:]).split(".")[0]
        yield module, name, kind != "U"


def calls(objects: Path, source: Path) -> Arrows:
    """What each module calls of others, from the objects that CMake made of src; older ones may lie there too."""
    ports = "".join((source / port).read_text(encoding="utf-8") for port in PORTS)
    found = [symbol for symbol in symbols(objects) if (source / f"{symbol[0]}.c").is_file()]
    home = {name: module for module, name, defined in found if defined}
    arrows: Arrows = {}
    for module, name, _ in found:
        if home.get(name, module) != module and not re.search(rf"\b{name}\(", ports):
            arrows.setdefault(module, set()).add(home[name])
    return arrows


def upward(arrows: Arrows) -> Iterator[tuple[str, str]]:
    """The pairs of modules of which the first must not know the second."""
    for module, others in sorted(arrows.items()):
        for other in sorted(others):
            here, there = room_of(module), room_of(other)
            if here != there and (FLOOR[here] <= FLOOR[there] or (here, there) in FORBIDDEN):
                yield module, other


def circle(arrows: Arrows) -> list[str]:
    """Modules that lead back to the first of them, if there are any; depth first."""
    done: set[str] = set()
    for start in sorted(arrows):
        path, walks = [start], [iter(sorted(arrows[start]))]
        while walks:
            step = next(walks[-1], None)
            if step is None:
                walks.pop()
                done.add(path.pop())
            elif step in path:
                return [*path[path.index(step):], step]
            elif step not in done:
                path.append(step)
                walks.append(iter(sorted(arrows.get(step, ()))))
    return []


def main() -> int:
    """Tell what is wrong, a line each; the exit status is 1 if anything is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", metavar="ROOT", type=Path, nargs="?", default=Path(__file__).resolve().parents[1])
    parser.add_argument("--objects", metavar="DIR", type=Path, help="the folder of the objects made of src")
    options = parser.parse_args()
    source = options.root / "src"
    arrows = includes(source)
    for module, others in calls(options.objects, source).items() if options.objects else ():
        arrows[module] |= others
    wrong = [f"src/{module} must not know src/{other}" for module, other in upward(arrows)]
    # A header without a .c calls nobody: with it a module may tell itself more than it tells others.
    found = circle({module: others for module, others in arrows.items() if (source / f"{module}.c").is_file()})
    if found:
        wrong.append("a circle: " + " -> ".join(found))
    print("\n".join(wrong) or f"{len(arrows)} modules, {sum(map(len, arrows.values()))} arrows, all of them down")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
