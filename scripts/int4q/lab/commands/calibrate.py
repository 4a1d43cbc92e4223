# SPDX-License-Identifier: Apache-2.0
"""Measure what the Convs of a model see: first and second moments of their input patches, into a safetensors file.

    int4q-lab calibrate yolov10n.onnx --images calib -n 16 -o stats.safetensors

A patch x is what one row of the weight is multiplied with at one position of the output: K = I/g * kh * kw numbers
in the order of the flattened row, zeros of the padding included.  Over all positions of all images,

    WEIGHT|mu  float32 [K], with groups [G, K]         E[x]
    WEIGHT|H   float32 [K, K], with groups [G, K, K]   E[x x^T], in full

for every Conv of the main graph with a constant weight; WEIGHT is the name of its initializer.  A weight of several
Convs gets the moments of all their patches.  Metadata: images (number), positions (JSON, weight -> number of
patches), weights_crc32 (JSON, weight -> CRC-32 of its numbers: int4q refuses a model in which they differ), model (name of
its file), model_sha256, focus, sequential, int4q_statistics (version of this format, 1), made (JSON: options, names and
SHA-256 of the files that were read, versions).  Equal input gives equal bytes: where the output says that it was made of the
same files, with these options and versions, nothing is measured again.

For each value T that such a Conv reads, what `int4q rewrite --activations` needs, of the float model and without --focus:

    T|lo, T|hi     float32 [C]     the least and the greatest value of each channel
    T|hist         uint32 [C, B]   how many lie in each of B equal parts between them; of a constant channel: all in the
                                   first.  Part b of channel c has lo + b w <= x < lo + (b + 1) w, w = (hi - lo) / B, by
                                   floor((x - lo) / (hi - lo) * B) in binary64; the last one has x = hi too

The same with C = 1, all channels together, for other values between Convs: what Convs, sums, products and activations give,
for `--decode fused`.

Most of a picture is background, and what goes wrong there costs a detector little.  With --focus F a position counts
1 - F + F a, where a says how much of what the float model finds lies there (mean 1 over a picture).

With --sequential each Conv is quantized as soon as it is measured, and those behind it are measured behind what has been
quantized.  mu and H are those of what the Conv sees then, and there are

    WEIGHT|target  float32 [O, K]   weights that make up for errors in front of them, see sequential.py
    WEIGHT|shift   float32 [O]      what the bias gains with them
"""
import argparse
import json
import os
import shlex
from collections.abc import Sequence

import onnx
from threadpoolctl import threadpool_limits

from int4q.lab.base.errors import user_errors, warn
from int4q.lab.base.files import file_sha256, need_folder
from int4q.lab.base.options import command_parser
from int4q.lab.base.stamps import stamp
from int4q.lab.base.tool import add_tool_option, find_int4q, versions
from int4q.lab.calibration import between, measurement, sequential
from int4q.lab.calibration.convs import conv_nodes, find_convs, weight_sums
from int4q.lab.calibration.feeds import array_feeds, array_files, picture_feeds, picture_focus
from int4q.lab.calibration.moments import read_metadata, save
from int4q.lab.calibration.taps import Taps
from int4q.lab.detection.detectors import Detector, add_family_options, family_help
from int4q.lab.detection.pictures import sample_pictures
from int4q.lab.models.session import files_of, load_model

DECIDE = ("number", "seed", "family", "size", "focus", "sequential", "rewrite", "mean_only", "no_histograms")  # the numbers


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command_parser(__doc__, family_help())
    parser.add_argument("model", metavar="MODEL")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--images", metavar="PLACE",
                        help="pictures (a folder, a list, a data.yaml), prepared as the detector's family wants them")
    source.add_argument("--inputs", nargs="+", metavar="PATH",
                        help=".npy (the model's one input) or .npz files (an array for each input), or folders of them")
    parser.add_argument("-n", "--number", type=int, default=16, metavar="N", help="pictures, chosen by --seed (16)")
    parser.add_argument("--seed", type=int, default=0)
    add_family_options(parser)
    parser.add_argument("--focus", type=float, default=0, metavar="F",
                        help="how much more a position of a picture counts where the model finds something, 0 to 1 (0)")
    parser.add_argument("--sequential", action="store_true",
                        help="measure each Conv behind those that are quantized already")
    parser.add_argument("--rewrite", default="", metavar="OPTIONS",
                        help="options of int4q rewrite that will be used, for --sequential, as '--block 32'")
    add_tool_option(parser)
    parser.add_argument("--mean-only", action="store_true", help="no H: enough to correct biases")
    parser.add_argument("--no-histograms", action="store_true", help="none of inputs: enough if activations stay float")
    parser.add_argument("-j", "--threads", type=int, default=1, metavar="N", help="of ONNX Runtime and NumPy (1)")
    parser.add_argument("-o", "--output", required=True, metavar="FILE")
    args = parser.parse_args(argv)
    if args.number < 1 or args.threads < 1:
        parser.error("-n and -j are at least 1")
    if not 0 <= args.focus <= 1:
        parser.error("--focus is between 0 and 1")
    if args.sequential and args.mean_only:
        parser.error("--sequential and --mean-only exclude each other")
    if args.rewrite and not args.sequential:
        parser.error("--rewrite is for --sequential only")
    return args


def made_by(args: argparse.Namespace, model: onnx.ModelProto, inputs: Sequence[str]) -> str:
    """What is in the file of statistics, as JSON; where files and results lie, and in how many threads, is no part of it."""
    options = {key: value for key, value in vars(args).items() if key in DECIDE}
    family = [path for path in [(args.family or "").rpartition(":")[0]] if path]
    tool = find_int4q(args.int4q) if args.sequential else None
    return json.dumps(stamp(options, [*files_of(args.model, model), *family, *inputs], versions(tool)), sort_keys=True)


def calibrate(args: argparse.Namespace) -> None:
    need_folder(args.output)
    model = load_model(args.model)
    inputs = (sample_pictures(args.images, args.number, args.seed, args.strict) if args.images else
              list(array_files(args.inputs)))
    made = made_by(args, model, inputs)
    if read_metadata(args.output).get("made") == made:
        print(f"{args.output}: of these files, options and versions already; remove it to measure again")
        return
    measure(args, model, inputs, made)


def measure(args: argparse.Namespace, model: onnx.ModelProto, inputs: Sequence[str], made: str) -> None:
    look = None
    if args.images:
        feeds = picture_feeds(Detector(args.model, args.family, args.size, args.threads, any_head=True), inputs)
    else:
        feeds = array_feeds(model, inputs)
    with threadpool_limits(args.threads):
        if args.images and args.focus:
            look = picture_focus(args.model, args.family, args.size, args.threads, args.focus)
        convs = find_convs(args.model, model)
        taps = Taps(args.model, model, convs, feeds[0](), args.threads)
        if args.sequential:
            found, images = sequential.measure(args.model, conv_nodes(args.model, model), feeds, look, args.threads,
                                               find_int4q(args.int4q), shlex.split(args.rewrite))
        else:
            found, images = measurement.measure(convs, taps, feeds, look, args.mean_only)
        spread = {} if args.no_histograms else between.measure(args.model, model, convs, taps, feeds, args.threads)
        weights, sums = len(found), weight_sums(args.model, model, convs)
        if len(sums) < weights:
            warn(f"{args.model}: {weights - len(sums)} of its {weights} Conv weights are not stored as floats: for the "
                 "float model int4q rewrite takes these statistics only with --allow-other-model")
        more = {"model": os.path.basename(args.model), "weights_crc32": json.dumps(sums),
                "focus": str(args.focus if look else 0), "sequential": str(args.sequential).lower(), "made": made}
        count = save(args.output, found, spread, images, file_sha256(args.model), more)
    print(f"{args.output}: {images} images, {weights} weights, {count} tensors, {os.path.getsize(args.output)} bytes")


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    with user_errors("calibrate.py"):
        calibrate(args)
