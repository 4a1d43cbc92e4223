# SPDX-License-Identifier: Apache-2.0
"""What other tools make of a model when they are asked for 4-bit weights, each with the flags that serve it best.

    int4q-lab other-tools model.onnx -o folder

writes folder/TOOL.onnx, or .mnn, for each tool that is installed (requirements-bench.txt), prints the paths of those
that ONNX Runtime, or MNN, can load, and says what became of the others.  With --tool it is an error if there is no such
model.
"""
import os
from collections.abc import Sequence

from int4q.lab.base.errors import Error, user_errors, warn
from int4q.lab.base.files import make_folder
from int4q.lab.base.options import command_parser
from int4q.lab.experiment import rivals


def make(tool: str, model: str, folder: str) -> str:
    """Path of what the tool made."""
    for kind in rivals.KINDS:
        if tool in kind.commands(model, ""):
            target = os.path.join(folder, tool + kind.ending)
            why = rivals.make(kind, tool, model, target)
            if why:
                raise Error(f"{tool}: {why}")
            return target
    raise Error(f"{tool}: not installed")


def make_all(model: str, folder: str) -> None:
    installed = [tool for kind in rivals.KINDS for tool in kind.commands(model, "")]
    for tool in dict.fromkeys([*installed, *sorted(rivals.TOOLS)]):
        try:
            print(make(tool, model, folder))
        except Error as error:
            warn(str(error))


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("-o", "--output", required=True, metavar="DIR")
    parser.add_argument("--tool", choices=rivals.TOOLS, help="only this one (all)")
    args = parser.parse_args(argv)
    with user_errors("other_tools.py"):
        make_folder(args.output)
        if args.tool:
            print(make(args.tool, args.model, args.output))
        else:
            make_all(args.model, args.output)
