# SPDX-License-Identifier: Apache-2.0
"""Measure what the Convs of a model see: first and second moments of their input patches, into a safetensors file.

    calibrate.py yolov10n.onnx --images calib -n 16 -o stats.safetensors

A patch x is what one row of the weight is multiplied with at one position of the output: K = I/g * kh * kw numbers
in the order of the flattened row, zeros of the padding included.  Over all positions of all images,

    WEIGHT|mu  float32 [K], with groups [G, K]         E[x]
    WEIGHT|H   float32 [K, K], with groups [G, K, K]   E[x x^T], in full

for every Conv of the main graph with a constant weight; WEIGHT is the name of its initializer.  A weight of several
Convs gets the moments of all their patches.  Metadata: images (number), positions (JSON, weight -> number of
patches), focus, sequential, model_sha256, int4q_statistics (version of this format, 1).  Equal input gives equal bytes.

Most of a picture is background, and what goes wrong there costs a detector little.  With --focus F a position counts
1 - F + F a, where a says how much of what the float model finds lies there (mean 1 over a picture).

With --sequential each Conv is quantized as soon as it is measured, and those behind it are measured behind what has been
quantized.  mu and H are those of what the Conv sees then, and there are

    WEIGHT|target  float32 [O, K]   weights that make up for errors in front of them, see sequential.py
    WEIGHT|shift   float32 [O]      what the bias gains with them
"""
import argparse
import hashlib
import json
import math
import os
import sys

import numpy as np
import onnx
from int4q.lab import sequential
from int4q.lab.detectors import (Detector, Error, add_family_options, dims, family_help, inputs_of, load_model,
                       one_line, open_session, read_picture, sample_pictures, with_outputs)
from int4q.lab.attention import weigher
from int4q.lab.run import add_tool_option
from int4q.lab.graph import constants
from int4q.lab.patches import Conv, Moments, write_safetensors
from threadpoolctl import threadpool_limits
from tqdm import tqdm

VERSION = "1"
PASS_BYTES = 256 << 20   # of Conv inputs that one run hands out
UNKNOWN_BYTES = 32 << 20  # what a value of unknown shape counts for
FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


# ---- The graph

def weight_name(name, makers):
    """The value behind Identity nodes."""
    while name in makers and makers[name].op_type == "Identity" and not makers[name].domain:
        name = makers[name].input[0]
    return name


def weight_shapes(path, model, names):
    """{name: shape}: stored for initializers, by running the model for constants that nodes make."""
    found = {t.name: tuple(t.dims) for t in model.graph.initializer}
    computed = [n for n in names if n not in found]
    if computed:
        session = open_session(path, 1, with_outputs(model, computed))
        feeds = {i.name: np.zeros([d if isinstance(d, int) else 1 for d in i.shape], FLOATS.get(i.type, np.float32))
                 for i in session.get_inputs()}
        found.update(zip(computed, (a.shape for a in session.run(None, feeds))))
    return found


def make_conv(node, shape):
    """The Conv of a node whose weight has this shape [O, I/g, kernel ...]."""
    values = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    axes = len(shape) - 2
    pads = tuple(values.get("pads", [0] * (2 * axes)))
    auto = values.get("auto_pad", b"NOTSET").decode()
    return Conv(node.input[0], shape[2:], tuple(values.get("strides", [1] * axes)),
                tuple(values.get("dilations", [1] * axes)),
                tuple(zip(pads[:axes], pads[axes:])) if auto == "NOTSET" else (), auto, values.get("group", 1))


def conv_nodes(path, model):
    """[(position, node, name of its weight, Conv)] in the order of the graph."""
    makers = {name: n for n in model.graph.node for name in n.output}
    known = constants(model.graph)
    places = [at for at, n in enumerate(model.graph.node) if n.op_type == "Conv" and not n.domain and n.input[1] in known]
    nodes = [model.graph.node[at] for at in places]
    names = [weight_name(n.input[1], makers) for n in nodes]
    shapes = weight_shapes(path, model, dict.fromkeys(names))
    if not nodes:
        raise Error(f"{path}: no Conv with a constant weight in the main graph")
    return [(at, node, name, make_conv(node, shapes[name])) for at, node, name in zip(places, nodes, names)]


def find_convs(path, model):
    """[(Conv, [names of the weights that see its patches, one entry for each node])] in the order of the graph."""
    found = {}
    for _, _, name, conv in conv_nodes(path, model):
        found.setdefault(conv, []).append(name)
    return list(found.items())


# ---- Runs

def value_bytes(session):
    """{output: bytes}, a guess where the shape is not known."""
    return {o.name: 4 * math.prod(o.shape) if o.shape and all(isinstance(d, int) for d in o.shape) else UNKNOWN_BYTES
            for o in session.get_outputs()}


def split_passes(convs, sizes):
    """Lists of Convs whose inputs together stay below PASS_BYTES, in the order of the graph."""
    passes, taken, total = [[]], set(), 0
    for entry in convs:
        source = entry[0].source
        size = 0 if source in taken else sizes[source]
        if passes[-1] and total + size > PASS_BYTES:
            passes.append([])
            taken, total, size = set(), 0, sizes[source]
        passes[-1].append(entry)
        taken.add(source)
        total += size
    return passes


def open_pass(path, model, convs, threads):
    """(session that gives the inputs of these Convs, their names); no session if the model's inputs are all."""
    given = {i.name for i in inputs_of(model.graph)}
    taps = [n for n in dict.fromkeys(conv.source for conv, _ in convs) if n not in given]
    return (open_session(path, threads, with_outputs(model, taps)) if taps else None), taps


def source_sizes(path, model, convs, given):
    """{input of a Conv: bytes} when the model is given these inputs."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    for value in inputs_of(probe.graph):
        for d, size in zip(value.type.tensor_type.shape.dim, given[value.name].shape):
            d.dim_value = size
    session, _ = open_pass(path, probe, convs, 1)
    return {**dict.fromkeys(given, 0), **(value_bytes(session) if session else {})}


def measure(path, model, feeds, args, look=None):
    """{weight: Moments} over all feeds, a list of functions that return {input: array}; and the number of images.

    `look` gives the function that weighs positions (focus.weigher) for an input.
    """
    convs, images = find_convs(path, model), 0
    sizes = source_sizes(path, model, convs, feeds[0]())
    passes = [(part, *open_pass(path, model, part, args.threads)) for part in split_passes(convs, sizes)]
    seen = {conv: Moments() for conv, _ in convs}
    for make in tqdm(feeds, unit="image", disable=None):
        given = make()
        weigh = look(given) if look else None
        images += len(next(iter(given.values())))
        for part, session, taps in passes:
            values = dict(given, **dict(zip(taps, run(path, session, given) if taps else [])))
            for conv, _ in part:
                seen[conv].add(conv, values[conv.source], args.mean_only, weigh)
    return join_weights(convs, seen), images


def run(path, session, given):
    wanted = {i.name for i in session.get_inputs()}
    try:
        return session.run(None, {name: array for name, array in given.items() if name in wanted})
    except Exception as error:  # ONNX Runtime's own classes of errors
        raise Error(f"{path}: ONNX Runtime: {one_line(error)}") from error


def join_weights(convs, seen):
    """{weight: Moments}: those of all the nodes that use it."""
    found = {}
    for conv, names in convs:
        for name in names:
            found.setdefault(name, Moments()).join(seen[conv])
    return found


# ---- What is fed

def picture_feeds(path, args):
    """Functions that give the model's input for each chosen picture."""
    chosen = sample_pictures(args.images, args.number, args.seed)
    if len(chosen) < args.number:
        print(f"calibrate.py: only {len(chosen)} pictures in {args.images}", file=sys.stderr)
    detector = Detector(path, args.family, args.size, args.threads)
    name = detector.session.get_inputs()[0].name

    def feed(picture):
        return {name: detector.prepare(read_picture(picture))[0].astype(detector.kind)}
    return [lambda picture=picture: feed(picture) for picture in chosen]


def picture_focus(path, args):
    """For `measure`: what counts in a picture; None where all positions do."""
    if not args.images or not args.focus:
        return None
    detector = Detector(path, args.family, args.size, args.threads, probabilities=True)
    if not detector.has_probabilities:
        print(f"calibrate.py: {path} does not tell what it finds where; all positions count the same", file=sys.stderr)
        return None
    return lambda given: weigher(detector, next(iter(given.values())), args.focus)


def array_files(places):
    """The .npy and .npz files among these files and folders, those of a folder sorted by name."""
    for place in places:
        if not os.path.isdir(place):
            yield place
            continue
        names = sorted(n for n in os.listdir(place) if n.endswith((".npy", ".npz")))
        if not names:
            raise Error(f"{place}: no .npy or .npz files")
        yield from (os.path.join(place, n) for n in names)


def read_arrays(file, inputs):
    """{input: array} of a .npz, or of a .npy when the model has one input; of the types that the model wants."""
    try:
        loaded = np.load(file, allow_pickle=False)
        arrays = {inputs[0].name: loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except (OSError, ValueError) as error:
        raise Error(f"{file}: {one_line(error)}") from error
    missing = [i.name for i in inputs if i.name not in arrays]
    if missing:
        raise Error(f"{file}: no array for the input {missing[0]}")
    found = {}
    for i in inputs:
        kind = onnx.helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type)
        array, shape = arrays[i.name], dims(i)
        if array.ndim != len(shape) or any(d not in (None, 0, n) for d, n in zip(shape, array.shape)):
            raise Error(f"{file}: shape {list(array.shape)}, but the input {i.name} has {shape}")
        found[i.name] = array.astype(kind)
    return found


def array_feeds(model, args):
    inputs = inputs_of(model.graph)
    return [lambda file=file: read_arrays(file, inputs) for file in array_files(args.inputs)]


# ---- The file

def file_sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for part in iter(lambda: file.read(1 << 20), b""):
            digest.update(part)
    return digest.hexdigest()


def save(path, found, images, digest, more):
    """Write {weight: Moments}, which is emptied to save memory; returns the number of tensors."""
    positions = json.dumps({name: found[name].positions for name in sorted(found)}, ensure_ascii=False)
    tensors = {}
    for name in list(found):
        tensors.update(found.pop(name).tensors(name))
    write_safetensors(path, tensors, {"images": str(images), "positions": positions, "model_sha256": digest,
                                      "int4q_statistics": VERSION, **more})
    return len(tensors)


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, epilog=family_help(),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--images", metavar="DIR", help="pictures, prepared as the detector's family wants them")
    source.add_argument("--inputs", nargs="+", metavar="PATH",
                        help=".npy (the model's one input) or .npz files (an array for each input), or folders of them")
    parser.add_argument("-n", "--number", type=int, default=16, metavar="N", help="pictures, chosen by --seed (16)")
    parser.add_argument("--seed", type=int, default=0)
    add_family_options(parser)
    parser.add_argument("--focus", type=float, default=0, metavar="F",
                        help="how much more a position of a picture counts where the model finds something, 0 to 1 (0)")
    parser.add_argument("--sequential", action="store_true", help="measure each Conv behind those that are quantized already")
    parser.add_argument("--rewrite", default="", metavar="OPTIONS",
                        help="options of int4q rewrite that will be used, for --sequential, as '--block 32'")
    add_tool_option(parser)
    parser.add_argument("--mean-only", action="store_true", help="no H: enough to correct biases")
    parser.add_argument("-j", "--threads", type=int, default=1, metavar="N", help="of ONNX Runtime and NumPy (1)")
    parser.add_argument("-o", "--output", required=True, metavar="FILE")
    args = parser.parse_args(argv)
    if args.number < 1 or args.threads < 1:
        parser.error("-n and -j are at least 1")
    if not 0 <= args.focus <= 1:
        parser.error("--focus is between 0 and 1")
    if args.sequential and args.mean_only or args.rewrite and not args.sequential:
        parser.error("--sequential excludes --mean-only, and --rewrite needs it")
    return args


def calibrate(args):
    model = load_model(args.model)
    feeds = picture_feeds(args.model, args) if args.images else array_feeds(model, args)
    with threadpool_limits(args.threads):
        look = picture_focus(args.model, args)
        if args.sequential:
            found, images = sequential.measure(conv_nodes(args.model, model), feeds, look, args)
        else:
            found, images = measure(args.model, model, feeds, args, look)
        weights, more = len(found), {"focus": str(args.focus if look else 0), "sequential": str(args.sequential).lower()}
        count = save(args.output, found, images, file_sha256(args.model), more)
    print(f"{args.output}: {images} images, {weights} weights, {count} tensors, {os.path.getsize(args.output)} bytes")


def main(argv=None):
    args = parse(argv)
    try:
        calibrate(args)
    except Error as error:
        sys.exit(f"calibrate.py: {error}")
    except OSError as error:
        sys.exit(f"calibrate.py: {error.filename}: {error.strerror}")
