# SPDX-License-Identifier: Apache-2.0
"""Every storage format and form against the definition, by numpy, and in ONNX Runtime."""
import json

import numpy as np
import onnx
import pytest
from helpers import make_model, random_feeds, rewrite, run, run_int4q, tensor, value, with_output_shapes
from onnx import TensorProto, helper, numpy_helper

BITS = {"int4": 4, "uint4": 4, "int8": 8, "int2": 2, "uint2": 2, "packed-u8": 4, "packed2": 2, "packed3": 3, "packed5": 5,
        "packed6": 6}
QMAX = {fmt: 2 ** (bits - 1) - 1 for fmt, bits in BITS.items()}
ZERO = {fmt: 0 if fmt.startswith("int") else 2 ** (bits - 1) for fmt, bits in BITS.items()}
PACKED = [fmt for fmt in BITS if fmt.startswith("packed")]


def definition(weight, fmt, block=0):
    """Codes without zero point, scales [channels, blocks], and what they decode to."""
    wide = weight.astype(np.float32).reshape(weight.shape[0], -1)
    block = block if 0 < block < wide.shape[1] else wide.shape[1]
    codes, scales, decoded = np.zeros(wide.shape, np.int32), [], np.zeros(wide.shape, np.float32)
    for start in range(0, wide.shape[1], block):
        part = wide[:, start:start + block]
        scale = (np.abs(part).max(1) / np.float32(QMAX[fmt])).astype(weight.dtype)
        scale[scale == 0] = 1
        step = scale.astype(np.float32)[:, None]
        q = np.clip(np.rint(part / step), -QMAX[fmt], QMAX[fmt]).astype(np.int32).astype(np.float32)
        codes[:, start:start + block] = q
        decoded[:, start:start + block] = q * step
        scales.append(scale)
    return codes.reshape(weight.shape), np.stack(scales, 1), decoded.reshape(weight.shape).astype(weight.dtype)


def codes_of(stored, fmt, count):
    """Without zero point. A stream of bits, the low ones of a byte first; what is left of the last byte is 0."""
    bits = np.unpackbits(np.frombuffer(stored.raw_data, np.uint8), bitorder="little").astype(np.int32)
    assert len(bits) == -(-count * BITS[fmt] // 8) * 8 and not bits[count * BITS[fmt]:].any()
    codes = bits[:count * BITS[fmt]].reshape(count, BITS[fmt]) @ (1 << np.arange(BITS[fmt]))
    return np.where(codes > QMAX[fmt], codes - 2 ** BITS[fmt], codes) if fmt.startswith("int") else codes - ZERO[fmt]


def decoded_in_runtime(model):
    """The weights as ONNX Runtime decodes them: the values that the Convs read become outputs."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    weights = [n.input[1] for n in model.graph.node if n.op_type == "Conv"]
    probe.graph.output.extend(onnx.ValueInfoProto(name=w) for w in weights)
    return dict(zip(weights, run(probe, random_feeds(model))[len(model.graph.output):]))


def two_convs(kind=np.float32, shapes=((6, 3, 3, 3), (5, 6, 1, 3)), opset=13):
    nodes = [helper.make_node("Conv", ["x", "v"], ["a"], name="one"), helper.make_node("Conv", ["a", "w"], ["y"], name="two")]
    weights = [tensor(name, *shape, kind=kind) for name, shape in zip("vw", shapes)]
    number = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    return with_output_shapes(make_model(nodes, weights, inputs=[value("x", 1, 3, 8, 8, kind=number)], opset=opset,
                                         outputs=[onnx.ValueInfoProto(name="y")]))


FORMS = [(f, d, b) for f in QMAX for d in ("dq", "cast", "com.microsoft") for b in (0, 4, 9, 18)
         if not (f in PACKED and (d != "dq" or b)) and not (d == "com.microsoft" and (b or BITS[f] == 2))]


@pytest.mark.parametrize("kind", [np.float32, np.float16])
@pytest.mark.parametrize("fmt, decode, block", FORMS)
def test_form(tmp_path, fmt, decode, block, kind):
    original = two_convs(kind)
    args = ["--format", fmt, "--block", block]
    args = args if block else args[:2]
    args += ["--dq-domain", decode] if decode == "com.microsoft" else ["--decode", decode] if fmt not in PACKED else []
    rewritten, report = rewrite(original, tmp_path, *args)
    onnx.checker.check_model(rewritten, full_check=True)
    opset_of_type, ir_of_type = {"int4": (21, 10), "uint4": (21, 10), "int2": (25, 13), "uint2": (25, 13)}.get(fmt, (0, 0))
    in_runtime = decoded_in_runtime(rewritten)
    stored = {t.name: t for t in rewritten.graph.initializer}
    for name in "vw":
        weight = numpy_helper.to_array(next(t for t in original.graph.initializer if t.name == name))
        codes, scales, decoded = definition(weight, fmt, block)
        suffix = "packed" if fmt in PACKED else "quantized"
        np.testing.assert_array_equal(codes_of(stored[f"{name}_{suffix}"], fmt, weight.size), codes.reshape(-1))
        assert stored[f"{name}_scale"].raw_data == scales.tobytes()
        assert in_runtime[name].tobytes() == decoded.tobytes()
    opset = rewritten.opset_import[0].version
    dq = any(n.op_type == "DequantizeLinear" for n in rewritten.graph.node)
    if decode == "com.microsoft":
        assert opset == 13 and rewritten.ir_version == max(10, ir_of_type)
        assert [(o.domain, o.version) for o in rewritten.opset_import] == [("", 13), ("com.microsoft", 1)]
    else:
        half = 19 if dq and kind == np.float16 else 13
        assert opset == max(opset_of_type, 21 if dq and block else 0, half if fmt == "int8" else 13)
        assert rewritten.ir_version == max(ir_of_type, original.ir_version)
    for conv in report["convs"]:
        assert conv["storage"] == fmt
    run_int4q("inspect", tmp_path / "out.onnx", "--require", f"{fmt}==2", "--require", "valid")


@pytest.mark.parametrize("opset", [11, 12, 13, 17, 21])
@pytest.mark.parametrize("shape", [(6, 3, 3, 3), (5, 3, 3, 3)])
@pytest.mark.parametrize("fmt", PACKED)
def test_packed_at_every_opset(tmp_path, opset, shape, fmt):
    """Runs where nobody has heard of INT4: the opset stays, the operators are standard ones."""
    original = two_convs(shapes=(shape, (5, shape[0], 1, 1)), opset=opset)
    rewritten, _ = rewrite(original, tmp_path, "--format", fmt)
    onnx.checker.check_model(rewritten, full_check=True)
    assert rewritten.opset_import[0].version == opset and rewritten.ir_version == original.ir_version
    weight = numpy_helper.to_array(original.graph.initializer[0])
    assert decoded_in_runtime(rewritten)["v"].tobytes() == definition(weight, fmt)[2].tobytes()
    assert not any(t.data_type in (TensorProto.INT4, TensorProto.UINT4) for t in rewritten.graph.initializer)


@pytest.mark.parametrize("count", range(1, 18))
@pytest.mark.parametrize("fmt", PACKED)
def test_packed_of_every_length(tmp_path, fmt, count):
    """Groups of codes that end with a byte, and those that do not."""
    original = two_convs(shapes=((1, 3, 1, 1), (count, 1, 1, 1)))
    for args in ([], ["--asymmetric"]):
        rewritten, _ = rewrite(original, tmp_path, "--format", fmt, *args)
        stored = next(t for t in rewritten.graph.initializer if t.name == "w_packed")
        assert list(stored.dims) == [-(-count * BITS[fmt] // 8)]
        run_int4q("restore", tmp_path / "out.onnx", "-fq", "-o", tmp_path / "float.onnx")
        restored = next(t for t in onnx.load(tmp_path / "float.onnx").graph.initializer if t.name == "w")
        assert decoded_in_runtime(rewritten)["w"].tobytes() == restored.raw_data


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("args", [[], ["--method", "squant"], ["--scale", "mse", "--asymmetric"]])
@pytest.mark.parametrize("fmt", PACKED)
def test_float16_scales(tmp_path, fmt, args, opset):
    """Half the bytes, the same decoding: scales are rounded up before the codes are chosen, so that nothing is clipped."""
    original = two_convs(opset=opset)
    wide, _ = rewrite(original, tmp_path, "--format", fmt, *args)
    rewritten, report = rewrite(original, tmp_path, "--format", fmt, "--scale-type", "float16", *args)
    onnx.checker.check_model(rewritten, full_check=True)
    stored, before = ({t.name: t for t in m.graph.initializer} for m in (rewritten, wide))
    in_runtime = decoded_in_runtime(rewritten)
    for name, conv in zip("vw", report["convs"]):
        scale, old = (numpy_helper.to_array(t[f"{name}_scale"]) for t in (stored, before))
        assert scale.dtype == np.float16 and (scale.astype(np.float32) >= old).all()
        assert (scale.astype(np.float32) <= old * np.float32(1.001)).all()
        weight = numpy_helper.to_array(next(t for t in original.graph.initializer if t.name == name))
        codes = codes_of(stored[f"{name}_packed"], fmt, weight.size).reshape(weight.shape)
        zeros = numpy_helper.to_array(stored[f"{name}_zero_point"]).astype(np.int32) - ZERO[fmt] if args else 0
        assert in_runtime[name].tobytes() == ((codes - zeros).astype(np.float32) * scale.astype(np.float32)).tobytes()
        assert conv["bytes_after"] == len(stored[f"{name}_packed"].raw_data) + scale.nbytes + (scale.size if args else 0)
    found = json.loads(run_int4q("inspect", tmp_path / "out.onnx", "--require", "valid", "--json", "-").stdout)
    assert [(c["storage"], c["bytes"]) for c in found["convs"]] == [(fmt, c["bytes_after"]) for c in report["convs"]]
    run_int4q("restore", tmp_path / "out.onnx", "-fq", "-o", tmp_path / "float.onnx")
    restored = {t.name: t for t in onnx.load(tmp_path / "float.onnx").graph.initializer}
    assert all(restored[n].raw_data == in_runtime[n].tobytes() for n in "vw")


def test_float16_scales_have_their_place(tmp_path):
    original = two_convs(np.float16)
    narrow, _ = rewrite(original, tmp_path, "--format", "packed3", "--scale-type", "float16")
    plain, _ = rewrite(original, tmp_path, "--format", "packed3")
    assert narrow == plain  # they are FLOAT16 anyway
    for args in (["--format", "int4"], [], ["--bits", "6"], ["--bits", "6", "--choices", "4,8"]):
        done = run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--scale-type", "float16", *args, status=2)
        assert "--scale-type float16 is for packed formats" in done.stderr


@pytest.mark.parametrize("fmt", PACKED)
def test_packed_decoders_are_short(tmp_path, fmt):
    """A few hundred bytes a Conv, although weights have long names; Convs of one shape share all constants."""
    names = [f"model.23.one2one_cv3.2.{i}.1.conv.weight" for i in range(3)]
    nodes = [helper.make_node("Conv", [source, name], [target]) for source, name, target in zip("xab", names, "aby")]
    original = make_model(nodes, [tensor(name, 3, 3, 4, 4) for name in names])
    rewritten, _ = rewrite(original, tmp_path, "--format", fmt, "--asymmetric")
    decoders = [n for n in rewritten.graph.node if n.op_type != "Conv"]
    assert sum(n.ByteSize() + 2 for n in decoders) < 750 * len(names)
    others = [t.name for t in rewritten.graph.initializer if not t.name.startswith("model.")]
    assert len(others) == len(set(others)) <= 8


def test_packed4_is_packed_u8(tmp_path):
    outputs = [rewrite(two_convs(), tmp_path, "--format", fmt) for fmt in ("packed4", "packed-u8")]
    assert outputs[0][0].SerializeToString() == outputs[1][0].SerializeToString()
    assert outputs[0][1]["options"]["format"] == "packed-u8"
    for count, status in ((2, 0), (1, 4)):
        run_int4q("inspect", tmp_path / "out.onnx", "--require", f"packed4=={count}", status=status)


def test_keep_format(tmp_path):
    """What --topk and --min-weights keep becomes INT8; what is excluded or fixed stays float."""
    arange = numpy_helper.from_array(np.arange(5, dtype=np.float32).reshape(1, 5, 1, 1), "dfl")
    original = two_convs()
    del original.graph.output[:]
    original.graph.node.append(helper.make_node("Conv", ["y", "dfl"], ["z"], name="three"))
    original.graph.initializer.append(arange)
    original.graph.output.append(onnx.ValueInfoProto(name="z"))
    original = with_output_shapes(original)
    (tmp_path / "sens.json").write_text(json.dumps({"one": 2.0, "two": 1.0}))
    rewritten, report = rewrite(original, tmp_path, "--topk", tmp_path / "sens.json", "--keep", 1, "--keep-format", "int8")
    onnx.checker.check_model(rewritten, full_check=True)
    assert [(c["storage"], c["reason"]) for c in report["convs"]] == [("int8", "sensitive"), ("int4", None), ("float32", "dfl")]
    assert report["totals"]["kept"] == 2 and report["options"]["keep_format"] == "int8"
    weight = numpy_helper.to_array(original.graph.initializer[0])
    assert decoded_in_runtime(rewritten)["v"].tobytes() == definition(weight, "int8")[2].tobytes()
    run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--exclude", "one", "--exclude", "two", "--keep-format", "int8", status=4)


def test_block_notes(tmp_path):
    """Blocks that do not fit are told."""
    _, report = rewrite(two_convs(shapes=((6, 3, 3, 3), (5, 6, 1, 1))), tmp_path, "--block", 8, "--decode", "cast")
    assert [n.split(":")[0] for n in report["notes"]] == ["--block 8", "--block 8"]
    assert "stay per channel" in report["notes"][0] and "DequantizeLinear" in report["notes"][1]


LARGEST = {np.float32: 3.4028235e38, np.float16: 65504}


@pytest.mark.parametrize("magnitude", [1, 0.3])
@pytest.mark.parametrize("kind", LARGEST)
@pytest.mark.parametrize("args", [["--format", "int4"], ["--format", "uint4"], ["--format", "int8"], ["--format", "packed-u8"],
                                  ["--block", "16"], ["--method", "squant"], ["--format", "uint4", "--method", "squant"],
                                  ["--scale", "mse"], ["--decode", "cast", "--method", "squant"]], ids=" ".join)
def test_weights_near_the_largest_number(tmp_path, args, kind, magnitude):
    """Every code stands for a number, and every figure is one."""
    random = np.random.default_rng(0)
    weight = random.uniform(-1, 1, (8, 16, 3, 3))
    weight[0], weight[1, 0], weight[2, 0, 0, 0], weight[3, 0, 0] = np.abs(weight[0]), -1, 1, 1
    weight = (weight * LARGEST[kind] * magnitude).astype(kind)
    tensor_type = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    original = make_model([helper.make_node("Conv", ["x", "w"], ["y"], name="conv")], [numpy_helper.from_array(weight, "w")],
                          [value("x", 1, 16, 5, 5, kind=tensor_type)], [value("y", 1, 8, 3, 3, kind=tensor_type)], opset=21)
    rewritten, report = rewrite(original, tmp_path, *args)
    run_int4q("inspect", tmp_path / "out.onnx", "--reference", tmp_path / "in.onnx", "--require", "valid", "--json", tmp_path / "i.json")
    rewritten.graph.output.append(onnx.ValueInfoProto(name="w"))
    decoded = run(rewritten, random_feeds(original))[1].astype(np.float64)
    assert np.isfinite(decoded).all()
    error = weight - decoded
    sqnr = 10 * np.log10((weight.astype(np.float64) ** 2).sum() / (error ** 2).sum())
    for conv in (report["convs"][0], json.loads((tmp_path / "i.json").read_text())["convs"][0]):
        assert conv["sqnr_db"] == pytest.approx(sqnr, rel=1e-4)
        assert conv["max_error"] == pytest.approx(np.abs(error).max(), rel=1e-6)
