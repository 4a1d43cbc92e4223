# SPDX-License-Identifier: Apache-2.0
"""All commands of an experiment one after another: from a detector to a table of candidates and a page.

    int4q-lab experiment yolov10n.onnx train2017 val2017 instances_val2017.json -o tmp/experiment
    int4q-lab experiment yolov10n.onnx data.yaml

CALIBRATION is a folder of pictures to measure with, IMAGES one of pictures with COCO ANNOTATIONS to evaluate on; a
data.yaml of ultralytics stands for those of them that come after it, too: its train and its val pictures.  Each step says
its command, which can be called alone; stopped or killed, the same command goes on where it was.
"""
import argparse
import glob
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence

from int4q.installation import PACKAGE
from int4q.lab.base.errors import Error, user_errors
from int4q.lab.base.files import make_folder
from int4q.lab.base.options import command_parser
from int4q.lab.base.places import TMP
from int4q.lab.base.tool import add_tool_option, find_int4q
from int4q.lab.base.workers import processors
from int4q.lab.detection.truth import both, data_yaml

Step = tuple[str, list[str]]  # a command, its arguments


def given(args: argparse.Namespace, **options: str) -> list[str]:
    """Those options, {name: option}, that the user gave; the other commands have defaults of their own."""
    values = {option: getattr(args, name) for name, option in options.items()}
    return [part for option, value in values.items() if value is not None for part in (option, str(value))]


def steps(args: argparse.Namespace) -> list[Step]:
    """In their order; --models of the last are what the step before makes, see `filled`."""
    sens, stats, int8, schemes = (os.path.join(args.output, name)
                                  for name in ("sens.json", "stats.safetensors", "int8", "schemes"))
    family, workers = given(args, family="--family", size="--size"), ["-j", str(args.workers)]
    measured = [args.model, "--images", args.calibration, *given(args, number="-n", seed="--seed"), *family]
    wanted = given(args, bits="--bits", choices="--choices", keep="--keep", target="--target", block="--block")
    found = [("sensitivity-sweep", [*measured, *workers, "-o", sens]), ("calibrate", [*measured, "-o", stats]),
             ("int8-baseline", [*measured, "-o", int8]),
             ("make-schemes", [sens, "--calibration", stats, "--method", args.method, *wanted, "-o", schemes]),
             ("run-schemes", [os.path.join(schemes, "schemes.json"), "--images", args.images,
                              "--annotations", args.annotations, *given(args, limit="--limit", bootstrap="--bootstrap"),
                              *family, *workers, "-o", args.output])]
    return [step for step in found if not (args.no_int8 and step[0] == "int8-baseline")]


def filled(step: Step, args: argparse.Namespace) -> list[str]:
    """The arguments, with the models that there are by now."""
    name, arguments = step
    models = sorted(glob.glob(os.path.join(glob.escape(args.output), "int8", "*.onnx")))
    return [*arguments, "--models", *models] if name == "run-schemes" and models and not args.no_int8 else arguments


def call(name: str, arguments: Sequence[str], stdout: int | None = None) -> None:
    path = os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")]))
    done = subprocess.run([sys.executable, "-m", "int4q.lab", name, *arguments], check=False,
                          env={**os.environ, "PYTHONPATH": path}, stdout=stdout)
    if done.returncode:
        raise Error(f"{name} ended with status {done.returncode}")


def run(args: argparse.Namespace) -> None:
    for path in (args.model, args.calibration, args.images, args.annotations):
        if not os.path.exists(path):
            raise Error(f"{path}: no such file or directory")
    os.environ["INT4Q"] = find_int4q(args.int4q)
    make_folder(args.output)
    # What takes minutes should not end in a model that nobody knows, or in annotations of other pictures.
    call("eval-coco", [args.model, "--images", args.images, "--annotations", args.annotations, "--limit", "1",
                       "--bootstrap", "0", *given(args, family="--family", size="--size")], stdout=subprocess.DEVNULL)
    todo = steps(args)
    for number, step in enumerate(todo, 1):
        arguments, begin = filled(step, args), time.monotonic()
        print(f"step {number} of {len(todo)}: int4q-lab {step[0]} {shlex.join(arguments)}", flush=True)
        call(step[0], arguments)
        print(f"  ({time.monotonic() - begin:.0f} s)", flush=True)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command_parser(__doc__)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("calibration", metavar="CALIBRATION")
    parser.add_argument("images", nargs="?", metavar="IMAGES")
    parser.add_argument("annotations", nargs="?", metavar="ANNOTATIONS")
    parser.add_argument("out", nargs="?", metavar="OUT", help="the same as -o")
    parser.add_argument("-o", "--output", metavar="DIR", help="(tmp/experiment)")
    parser.add_argument("-n", "--number", type=int, metavar="N", help="pictures to calibrate and to sweep with (16)")
    parser.add_argument("--seed", type=int, help="of their choice (0)")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N pictures to evaluate on only")
    parser.add_argument("--bootstrap", type=int, metavar="N", help="resamples of them (200)")
    parser.add_argument("--method", default="absmax,squant,calibrated", metavar="LIST", help="(absmax,squant,calibrated)")
    for option, about in (("--bits", "budgets"), ("--choices", "what a Conv may become"), ("--target", "sizes"),
                          ("--keep", "numbers of Convs to keep"), ("--block", "weights that share a scale")):
        parser.add_argument(option, metavar="LIST", help=f"{about}: see make-schemes")
    parser.add_argument("--no-int8", action="store_true", help="no 8-bit models of other tools to compare with")
    parser.add_argument("--family", metavar="NAME", help="of the detector, where it is not recognized: see eval-coco")
    parser.add_argument("--size", metavar="N", help="side of the input, see eval-coco")
    parser.add_argument("-j", "--workers", type=int, default=processors(), metavar="N", help="processes (one a processor)")
    add_tool_option(parser)
    args = parser.parse_args(argv)
    args.images, args.annotations = both([args.images or data_yaml(args.calibration), args.annotations])
    if not args.annotations:
        parser.error("ANNOTATIONS are needed, or a data.yaml")
    args.output = args.output or args.out or os.path.join(TMP, "experiment")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    with user_errors("experiment.py", resumes=True):
        run(args)
