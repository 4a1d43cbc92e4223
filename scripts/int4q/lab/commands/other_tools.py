# SPDX-License-Identifier: Apache-2.0
"""What other tools make of a model when they are asked for 4-bit weights, each with the flags that serve it best.

    int4q-lab other-tools model.onnx -o folder

writes folder/TOOL.onnx, or .mnn, for each tool that is installed (requirements-bench.txt), prints the paths of those
that ONNX Runtime, or MNN, can load, and says what became of the others.
"""
import os
from collections.abc import Sequence

from int4q.lab.base.errors import user_errors, warn
from int4q.lab.base.files import make_folder
from int4q.lab.base.options import command_parser
from int4q.lab.experiment import rivals


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("-o", "--output", required=True, metavar="DIR")
    args = parser.parse_args(argv)
    with user_errors("other_tools.py"):
        make_folder(args.output)
        missing = set(rivals.TOOLS)
        for kind in rivals.KINDS:
            for tool in kind.commands(args.model, ""):
                missing.discard(tool)
                target = os.path.join(args.output, tool + kind.ending)
                why = rivals.make(kind, tool, args.model, target)
                if why:
                    warn(f"{tool}: {why}")
                else:
                    print(target)
        for tool in sorted(missing):
            warn(f"{tool}: not installed")
