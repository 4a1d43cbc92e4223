# SPDX-License-Identifier: Apache-2.0
"""The easy baselines: the same model in 8 bits.

    int4q-lab int8-baseline yolov10n.onnx --images calib -o tmp/int8
    int4q-lab run-schemes schemes.json ... --models tmp/int8/*.onnx

Makes in the output folder

    ort-w8a8.onnx       ONNX Runtime's static quantizer: Convs with INT8 weights, one scale a channel, and UINT8
                        activations whose ranges are those of the pictures (-n of them, chosen by --seed)
    int4q-w8.onnx       int4q rewrite --format int8: INT8 weights, float activations
    int4q-w8a8.onnx     the same with --activations uint8: what Convs read in UINT8 too, by histograms of the pictures
    modelopt-w8a8.onnx  NVIDIA ModelOpt's ONNX PTQ (nvidia-modelopt[onnx]), when it is installed or asked for
    nncf-w8a8.onnx      OpenVINO's NNCF on the ONNX model, preset mixed (nncf), when it is installed or asked for

Only Convs are quantized (by NNCF what its ignored patterns leave): the boxes and scores behind them do not survive 8 bits
with one scale.  What is there already
from the same input and settings is not made again.
"""
import argparse
import contextlib
import dataclasses
import importlib
import importlib.util
import io
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence

import onnx
from onnx import numpy_helper

from int4q.lab.base.errors import Error, one_line, user_errors
from int4q.lab.base.files import digest, file_sha256, make_folder, read_json, whole_file, write_json
from int4q.lab.base.options import command_parser
from int4q.lab.base.places import TMP
from int4q.lab.base.progress import progress
from int4q.lab.base.tool import add_tool_option, call_int4q, find_int4q, tool_version
from int4q.lab.base.types import Feeds as FeedValues
from int4q.lab.calibration import histograms, measurement
from int4q.lab.calibration.convs import find_convs
from int4q.lab.calibration.feeds import Feed, picture_feeds
from int4q.lab.calibration.moments import save
from int4q.lab.calibration.taps import Taps
from int4q.lab.detection.detectors import Detector, add_family_options, family_help
from int4q.lab.detection.pictures import sample_pictures
from int4q.lab.models.graph import stored
from int4q.lab.models.session import copy_model, load_model

OPSET = 13  # the first whose DequantizeLinear has an axis


class Feeds:
    """What calibrations read: get_next gives {input: array}, None in the end; ModelOpt also calls get_first and rewind."""

    def __init__(self, makers: Sequence[Feed]) -> None:
        self.makers = makers
        self.rewind()

    def rewind(self) -> None:
        self.left = iter(progress(self.makers, "image"))

    def get_first(self) -> FeedValues:
        return self.makers[0]()

    def get_next(self) -> FeedValues | None:
        make = next(self.left, None)
        return make() if make else None


def feeds_of(args: argparse.Namespace) -> list[Feed]:
    pictures = sample_pictures(args.images, args.number, args.seed, args.strict)
    return picture_feeds(Detector(args.model, args.family, args.size, args.threads, any_head=True), pictures)


def conv_names(path: str) -> list[str]:
    return [n.name for n in load_model(path).graph.node if n.op_type == "Conv"]


def with_opset(path: str, tool: str, folder: str) -> str:
    """Path of the model, raised to the opset that has DequantizeLinear with an axis.

    int4q raises it as it rewrites and restores; then each weight takes its own value again.
    """
    model = onnx.load(path)
    if max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0) >= OPSET:
        return path
    rewritten, raised = (os.path.join(folder, n) for n in ("int8.onnx", "raised.onnx"))
    call_int4q(tool, "rewrite", path, "--format", "int8", "--opset", OPSET, "-q", "-o", rewritten)
    call_int4q(tool, "restore", rewritten, "-q", "-o", raised)
    own, found = stored(model.graph), onnx.load(raised)
    for tensor in found.graph.initializer:
        if tensor.name in own:
            tensor.CopyFrom(numpy_helper.from_array(own[tensor.name], tensor.name))
    onnx.save(found, raised)
    return raised


def make_ort(args: argparse.Namespace, source: str, target: str) -> None:
    from onnxruntime import quantization
    if not all(conv_names(source)):
        raise Error(f"{args.model}: ONNX Runtime's quantizer needs a name for every Conv")
    folder = os.path.dirname(target)
    ready = os.path.join(folder, "ready.onnx")
    raised = with_opset(source, find_int4q(args.int4q), folder)
    quantization.shape_inference.quant_pre_process(raised, ready, skip_symbolic_shape=True)
    quantization.quantize_static(
        ready, target, Feeds(feeds_of(args)), quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=["Conv"], per_channel=True, activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8, calibrate_method=quantization.CalibrationMethod.MinMax)


def make_int4q(args: argparse.Namespace, source: str, target: str) -> None:
    call_int4q(find_int4q(args.int4q), "rewrite", source, "--format", "int8", "-q", "-f", "-o", target)


def make_int4q_activations(args: argparse.Namespace, source: str, target: str) -> None:
    model, feeds, statistics = load_model(source), feeds_of(args), f"{target}.statistics"
    convs = find_convs(source, model)
    taps = Taps(source, model, convs, feeds[0](), args.threads)
    found, images = measurement.measure(convs, taps, feeds, mean_only=True)
    save(statistics, found, histograms.measure(convs, taps, feeds), images, file_sha256(source), {})
    call_int4q(find_int4q(args.int4q), "rewrite", source, "--format", "int8", "--activations", "uint8", "--calibration",
               statistics, "-q", "-f", "-o", target)


def make_modelopt(args: argparse.Namespace, source: str, target: str) -> None:
    try:
        from modelopt.onnx.quantization import quantize
    except ImportError as error:
        raise Error(f"ModelOpt is not installed: pip install nvidia-modelopt[onnx] ({one_line(error)})") from error
    quantize(source, calibration_data_reader=Feeds(feeds_of(args)), quantize_mode="int8", op_types_to_quantize=["Conv"],
             high_precision_dtype="fp32", output_path=target)


def make_nncf(args: argparse.Namespace, source: str, target: str) -> None:
    try:
        import nncf
    except ImportError as error:
        raise Error(f"NNCF is not installed: pip install nncf ({one_line(error)})") from error
    feeds = feeds_of(args)
    raised = with_opset(source, find_int4q(args.int4q), os.path.dirname(target))
    made = nncf.quantize(onnx.load(raised), nncf.Dataset(progress(feeds, "image"), lambda make: make()),
                         preset=nncf.QuantizationPreset.MIXED, subset_size=len(feeds))
    onnx.save(made, target)


Maker = Callable[[argparse.Namespace, str, str], None]  # options, the model, what is to be made


@dataclasses.dataclass(frozen=True)
class Kind:
    """A quantizer: the name of its model without .onnx, and the package that it is, if that is not ours anyway."""

    name: str
    make: Maker
    package: str = ""

    def installed(self) -> bool:
        return not self.package or importlib.util.find_spec(self.package) is not None

    def version(self, args: argparse.Namespace) -> str:
        if not self.package:
            return tool_version(find_int4q(args.int4q))
        return str(getattr(importlib.import_module(self.package), "__version__", "")) if self.installed() else ""


KINDS = {"ort": Kind("ort-w8a8", make_ort, "onnxruntime"), "int4q": Kind("int4q-w8", make_int4q),
         "int4q-a8": Kind("int4q-w8a8", make_int4q_activations),
         "modelopt": Kind("modelopt-w8a8", make_modelopt, "modelopt"), "nncf": Kind("nncf-w8a8", make_nncf, "nncf")}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The quantizers talk on standard output and by warnings."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(level)


def make(kind: str, args: argparse.Namespace) -> tuple[str, bool]:
    """(path, True if it was there already)."""
    row = KINDS[kind]
    path, stamp = os.path.join(args.output, f"{row.name}.onnx"), os.path.join(args.output, f"{row.name}.stamp.json")
    key = digest(file_sha256(args.model), os.path.abspath(args.images), args.number, args.seed, args.family, args.size,
                 row.version(args))
    if os.path.exists(path) and os.path.exists(stamp) and read_json(stamp)["key"] == key:
        return path, True
    try:
        make_apart(row.make, args, path)
    except (Error, OSError):
        raise
    except Exception as error:  # the quantizers raise classes of their own
        raise Error(f"{args.model}: {row.name}: {one_line(error)}") from error
    write_json(stamp, {"key": key})
    return path, False


def make_apart(maker: Maker, args: argparse.Namespace, path: str) -> None:
    """Quantizers write to the model that they read and leave files beside it: they get a copy in a folder that goes."""
    with tempfile.TemporaryDirectory() as folder, quiet():
        made = os.path.join(folder, "made.onnx")
        maker(args, copy_model(args.model, make_folder(os.path.join(folder, "model"))), made)
        onnx.checker.check_model(made)
        with open(made, "rb") as file, whole_file(path) as output:
            shutil.copyfileobj(file, output)


def make_all(args: argparse.Namespace) -> None:
    load_model(args.model)
    make_folder(args.output)
    for kind in args.kind or [name for name, kind in KINDS.items() if kind.installed()]:
        path, old = make(kind, args)
        print(f"{os.path.getsize(path):12d} bytes  {path}{' (was there)' if old else ''}")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command_parser(__doc__, family_help())
    parser.add_argument("model", metavar="MODEL", help="float")
    parser.add_argument("--images", required=True, metavar="DIR", help="pictures for the ranges of activations")
    parser.add_argument("-n", "--number", type=int, default=16, metavar="N", help="pictures (16)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of pictures")
    parser.add_argument("--kind", nargs="+", choices=KINDS, help="default: all that are installed")
    parser.add_argument("-j", "--threads", type=int, default=1, metavar="N", help="of ONNX Runtime (1)")
    parser.add_argument("-o", "--output", default=os.path.join(TMP, "int8"), metavar="DIR", help="(tmp/int8)")
    add_family_options(parser)
    add_tool_option(parser)
    args = parser.parse_args(argv)
    if args.number < 1:
        parser.error("-n is at least 1")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    with user_errors("int8_baseline.py"):
        make_all(args)
