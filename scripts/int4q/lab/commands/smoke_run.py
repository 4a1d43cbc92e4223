# SPDX-License-Identifier: Apache-2.0
"""Check that models are whole and run: the full onnx.checker, a load, one inference on random input from a seed.

    int4q-lab smoke-run out.onnx --reference yolov10n.onnx --images photos

ONNX Runtime runs them on the CPU as it would by default, weights decoded at every run.  The summary (--out) is the same
from run to run: versions, size, Convs by storage and the names of those in 4 bits, shape and digest of each output.
With a reference, each output is compared with its: largest error, largest error by largest magnitude, cosine, SQNR.  Of
detectors that int4q knows it tells KL and IoU, as eval-coco has them, and how many of the reference's detections the model
has too, in pictures of --images; without, KL and IoU in noise, which say less.
Exit status 1 when a model fails, or has an output that is not finite.
"""
import argparse
import sys
from collections.abc import Sequence

from int4q.lab.base.errors import Error, user_errors
from int4q.lab.base.files import write_json
from int4q.lab.base.options import command_parser
from int4q.lab.base.progress import progress
from int4q.lab.base.tool import add_tool_option, find_int4q, versions
from int4q.lab.detection.pictures import sample_pictures
from int4q.lab.detection.recognition import SIDE
from int4q.lab.experiment.likeness import answers_of
from int4q.lab.experiment.smoke import Run, check_model, line_of, try_model
from int4q.lab.models.operators import add_operators_option, use_library


def smoke(args: argparse.Namespace) -> bool:
    """Whether all of them are usable."""
    tool, how, reference = find_int4q(args.int4q), Run(args.threads, args.size, args.seed), None
    if args.reference:
        row, reference = check_model(args.reference, tool, how, None)
        if not row["ok"]:
            raise Error(row["error"])
    pictures = sample_pictures(args.images, args.number, args.seed) if args.images else []
    answers = answers_of(args.reference, pictures, args.size, args.threads, args.seed) if args.reference else None
    rows = [try_model(path, tool, how, reference, answers) for path in progress(args.models, "model")]
    for row in rows:
        print(line_of(row), file=sys.stdout if row["ok"] else sys.stderr)
    if args.out:
        write_json(args.out, {"seed": args.seed, "reference": args.reference, "versions": versions(tool), "models": rows})
    return all(row["ok"] for row in rows)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command_parser(__doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--reference", metavar="MODEL", help="the float model")
    parser.add_argument("--images", metavar="DIR", help="pictures to compare detectors in, as for calibrate")
    parser.add_argument("-n", "--number", type=int, default=4, metavar="N", help="of pictures, chosen by --seed (4)")
    parser.add_argument("--size", type=int, metavar="N",
                        help=f"sides that a model leaves open (as its metadata say, else {SIDE})")
    parser.add_argument("--seed", type=int, default=0, help="of the input")
    parser.add_argument("--out", metavar="FILE", help="the summary as JSON")
    parser.add_argument("-j", "--threads", type=int, default=1, metavar="N", help="of ONNX Runtime (1)")
    add_tool_option(parser)
    add_operators_option(parser)
    args = parser.parse_args(argv)
    if args.images and not args.reference:
        parser.error("--images needs --reference")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    with user_errors("smoke_run.py"):
        use_library(args.ops_library)
        sys.exit(0 if smoke(args) else 1)
