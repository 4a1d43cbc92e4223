# SPDX-License-Identifier: Apache-2.0
"""import int4q: the program's commands as functions, their reports, and the JSON Schema files that describe these."""
import dataclasses
import html.parser
import json
import os
import sys
import types
import warnings

import jsonschema
import numpy as np
import onnx
import pytest
from exchange import QONNX, conv, quant_node, stored
from helpers import INT4Q, ROOT, make_model, run_int4q, tensor, value
from onnx import helper, numpy_helper

import int4q
from int4q import installation, reports
from int4q.arguments import arguments
from int4q.lab.commands import calibrate

MODEL = os.path.join(ROOT, "tests", "data", "good-detector.onnx")


@pytest.fixture(autouse=True)
def tool(monkeypatch):
    monkeypatch.setenv("INT4Q", INT4Q)


# ---- Schemas

def closed(schema):
    """The same, for which a key that it does not name is an error."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    return {**made, "additionalProperties": False} if isinstance(made.get("properties"), dict) and "required" in made else made


def check(command, document):
    """The report is as the schema says, and has no key that the schema does not tell: whoever adds one adds it there."""
    schema = int4q.schema(command)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(closed(schema)).validate(document)
    return document


def quantized_activation(folder):
    """A Conv behind QuantizeLinear and DequantizeLinear."""
    scale, zero = numpy_helper.from_array(np.float32(0.1), "s"), numpy_helper.from_array(np.uint8(128), "z")
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]), helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
             helper.make_node("Conv", ["d", "w"], ["y"], "conv")]
    onnx.save(make_model(nodes, [scale, zero, tensor("w", 4, 3, 3, 3)]), folder / "qdq.onnx")
    return folder / "qdq.onnx"


@pytest.mark.parametrize("options", [
    [], ["--method", "squant", "--block", "4"], ["--format", "int8"], ["--format", "packed3"], ["--decode", "nbits"],
    ["--rank", "weights", "--keep", "1", "--keep-format", "int8"], ["--exclude", "*cv1*"],
    ["--topk", "sens.json", "--keep", "1"], ["--topk", "names.json"], ["--dry-run"], ["--import", "all", "--format", "int4"], ["--bits", "8"], ["--target-size", "2000", "--choices", "4,8"], ["--op-types", "Conv,Gemm,MatMul"]],
    ids=" ".join)
def test_rewrite_schema(tmp_path, monkeypatch, options):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sens.json").write_text(json.dumps({"/model.0/conv/Conv": 1.5, "nobody": 1}))
    (tmp_path / "names.json").write_text(json.dumps({"excluded_onnx_nodes": ["/model.0/conv/Conv"]}))
    run_int4q("rewrite", MODEL, "-o", "out.onnx", "--json", "report.json", *options)
    check("rewrite", json.loads((tmp_path / "report.json").read_text()))
    if "--dry-run" not in options:
        check("inspect", json.loads(run_int4q("inspect", "out.onnx", "--stats", "--reference", MODEL, "--require", "valid",
                                              "--json", "-").stdout))
        check("restore", json.loads(run_int4q("restore", "out.onnx", "-o", "float.onnx", "--json", "-").stdout))
        said = check("restore", json.loads(run_int4q("restore", "out.onnx", "-fo", "quant.onnx", "--as", "qonnx", "--json", "-").stdout))
        assert any(row["became"] == "quant" for row in said["weights"])


def test_activations_schema(tmp_path):
    path = quantized_activation(tmp_path)
    assert check("inspect", json.loads(run_int4q("inspect", path, "--json", "-").stdout))["activations"]
    said = run_int4q("restore", "--activations", path, "-o", tmp_path / "out.onnx", "--json", "-").stdout
    assert check("restore", json.loads(said))["activations"][0]["became"] == "float"


def test_quantized_activations_schema(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32))
    onnx.save(make_model([helper.make_node("Conv", ["x", "w"], ["h"], "one"), helper.make_node("Relu", ["h"], ["r"]),
                          helper.make_node("Conv", ["r", "v"], ["y"], "two")],
                         [tensor("w", 4, 3, 3, 3), tensor("v", 4, 4, 3, 3)], [value("x", 1, 3, 8, 8)]), tmp_path / "m.onnx")
    calibrate.main([str(tmp_path / "m.onnx"), "--inputs", str(tmp_path / "x.npy"), "-o", str(tmp_path / "stats")])
    said = run_int4q("rewrite", tmp_path / "m.onnx", "-n", "--activations", "uint8", "--calibration", tmp_path / "stats", "--json", "-")
    quantized = sum(a["bits"] == 8 for a in check("rewrite", json.loads(said.stdout))["activations"])
    assert quantized
    report = int4q.rewrite(tmp_path / "m.onnx", activations="uint8", calibration=tmp_path / "stats")
    assert f"by squant, {quantized} activations in uint8" in report.summary()


def test_schemas_can_fail():
    """The check sees a wrong type, a missing key and an unknown one."""
    good = json.loads(run_int4q("rewrite", MODEL, "-n", "--json", "-").stdout)
    check("rewrite", good)
    for bad in ({**good, "dry_run": 1}, {key: good[key] for key in good if key != "totals"}, {**good, "more": 1},
                {**good, "convs": [{**good["convs"][0], "more": 1}]}):
        with pytest.raises(jsonschema.ValidationError):
            check("rewrite", bad)
    jsonschema.validate({**good, "more": 1}, int4q.schema("rewrite"))  # as shipped it lets what is to come pass


@pytest.mark.parametrize(("kind", "command", "path"), [
    (reports.Report, "rewrite", []), (reports.Conv, "rewrite", ["$defs", "conv"]), (reports.File, "rewrite", ["$defs", "file"]),
    (reports.QuantizedActivation, "rewrite", ["$defs", "activation"]), (reports.Totals, "rewrite", ["properties", "totals"]), (reports.Inspection, "inspect", []),
    (reports.StoredConv, "inspect", ["$defs", "conv"]), (reports.Model, "inspect", ["properties", "model"]),
    (reports.Activation, "inspect", ["$defs", "activation"]), (reports.Restoration, "restore", [])])
def test_dataclasses_have_what_the_schemas_say(kind, command, path):
    schema = int4q.schema(command)
    for key in path:
        schema = schema[key]
    own = {"json", "warnings"} | ({"model"} if command != "inspect" else set())  # beside the JSON
    fields = {field.name.rstrip("_") for field in dataclasses.fields(kind)} - (own if not path else set())
    assert fields | {"schema"} == set(schema["properties"]) | {"schema"}


# ---- Functions

def test_paths(tmp_path):
    """From file to file, and back; the report tells what the program's does."""
    out = tmp_path / "out.onnx"
    report = int4q.rewrite(MODEL, out)
    assert report.written and report.options["method"] == "squant" and report.model is None
    assert report.output.bytes == os.path.getsize(out) and report.output.path == str(out)
    assert [c.storage for c in report.convs] == ["int4"] * 3 + ["float32"] and report.convs[3].reason == "dfl"
    assert report.convs[0].shape == (4, 3, 3, 3) and report.upgrades[0].from_ == 13 and report.upgrades[0].op == "ReduceMax"
    run_int4q("rewrite", MODEL, "-o", tmp_path / "cli.onnx", "--method", "squant")
    assert out.read_bytes() == (tmp_path / "cli.onnx").read_bytes()
    found = int4q.inspect(str(out), reference=MODEL, stats=True, require=["int4==3", "valid"])
    assert found.totals["int4"] == 3 and all(r.holds for r in found.requirements) and found.convs[0].histogram
    back = int4q.restore(out, tmp_path / "back.onnx")
    assert len(back.weights) == 3 and back.output.bytes == os.path.getsize(tmp_path / "back.onnx")


def test_memory():
    """Bytes and models go in and come out, and are what the files would be."""
    with open(MODEL, "rb") as file:
        data = file.read()
    report = int4q.rewrite(data, threads=1)
    again = int4q.rewrite(onnx.load(MODEL))
    assert report.model == again.model and report.input.path is None and report.output.path is None
    assert {t.data_type for t in report.to_onnx().graph.initializer} >= {onnx.TensorProto.INT4}
    assert int4q.inspect(report.to_onnx()).totals["int4"] == 3
    back = int4q.restore(report.model)
    onnx.checker.check_model(back.to_onnx())
    with pytest.raises(ValueError, match="not written"):
        int4q.rewrite(data, dry_run=True).to_onnx()


def test_options(tmp_path):
    """Names with _ for -, lists, flags, and sensitivities as a dict."""
    report = int4q.rewrite(MODEL, dry_run=True, topk={"/model.0/conv/Conv": 2, "/model.1/m/m.0/cv1/Conv": 1}, keep=1,
                           keep_format="int8", op_types=["Conv", "Gemm"], strict=False, calibration=None)
    assert report.convs[0].storage == "int8" and report.convs[0].sensitivity == 2 and report.topk.entries == 2
    report = int4q.rewrite(MODEL, dry_run=True, exclude=["*cv1*", "*cv2*"])
    assert [c.reason for c in report.convs] == [None, "excluded", "excluded", "dfl"]
    assert list(arguments("rewrite", {"dry_run": True, "strict": False, "calibration": None, "include": "x", "bits": 4.5},
                          tmp_path)) == ["--dry-run", "--include=x", "--bits=4.5"]
    assert int4q.inspect(MODEL, require="valid").requirements[0].expr == "valid"
    with pytest.raises(int4q.Error, match="--bits"):  # the model is too small for it: but the list is understood
        int4q.rewrite(MODEL, dry_run=True, bits=0.1, choices=[4, 8])


def test_switches(tmp_path):
    """X=False is --no-X where there is one; a name that the program does not have is an error with any value."""
    assert list(arguments("rewrite", {"bias_correction": False, "progress": False, "sandbox": True}, tmp_path)) == [
        "--no-bias-correction", "--no-progress"]
    assert list(arguments("rewrite", {"no_bias_correction": True, "no_progress": False}, tmp_path)) == ["--no-bias-correction"]
    for given in (False, None, True, 1):
        with pytest.raises(int4q.Error, match="unknown option '--bias-corection'") as caught:
            int4q.rewrite(MODEL, dry_run=True, bias_corection=given)
        assert caught.value.status == 2


def test_lists(tmp_path):
    """A list is many options, or one with commas, as the program has it; a string is one value."""
    options = {"choices": [4, 8], "keep_activations": [3, tmp_path], "exclude": ("a", "b"), "require": "valid"}
    assert list(arguments("rewrite", options, tmp_path)) == [
        "--choices=4,8", "--keep-activations=3", f"--keep-activations={tmp_path}", "--exclude=a", "--exclude=b", "--require=valid"]


@pytest.mark.parametrize(("call", "told"), [
    (lambda: int4q.rewrite(MODEL, json="x.json"), "report.json"), (lambda: int4q.rewrite(MODEL, output="x.onnx"), "use dst="),
    (lambda: int4q.restore(MODEL, json="x.json"), "report.json"), (lambda: int4q.restore(MODEL, output="x.onnx"), "use dst="),
    (lambda: int4q.inspect(MODEL, json="-"), "report.json"), (lambda: int4q.rewrite(5), "a path, bytes or an onnx.ModelProto.*int"),
    (lambda: int4q.inspect(MODEL, reference=5), "a path, bytes or an onnx.ModelProto"), (lambda: int4q.rewrite(MODEL, 5), "dst: a path"),
    (lambda: int4q.rewrite(MODEL, exclude=[object()]), "exclude: .*not object"), (lambda: int4q.rewrite(MODEL, "-"), "report.model"),
    (lambda: int4q.rewrite(MODEL, block=True), r"block: a value is wanted \(N\)"),
    (lambda: int4q.rewrite(MODEL, format=True, dry_run=True), r"format: a value is wanted")])
def test_wrong_types(call, told):
    with pytest.raises(TypeError, match=told):
        call()


def test_schema_of_no_command():
    with pytest.raises(ValueError, match="'foo' is no command: rewrite, inspect, restore"):
        int4q.schema("foo")


def quant_and_float():
    """A Conv behind Quant nodes, of its weight and its input, and a float one."""
    nodes = [quant_node("in", inputs=("x", "s", "z", "b"), output="a", narrow=0), quant_node("quant"), conv("q", "h", source="a"),
             conv("v", name="float", source="h")]
    tensors = [stored("w", np.ones((4, 3, 3, 3))), stored("s", 1), stored("z", 0), stored("b", 8), tensor("v", 4, 4, 3, 3)]
    model = make_model(nodes, tensors, [value("x", 1, 3, 8, 8)])
    model.opset_import.append(helper.make_opsetid(QONNX, 1))
    return model


def test_import():
    """As on the command line, floats stay floats unless a method is asked for; the summaries tell what came in."""
    report = int4q.rewrite(quant_and_float(), import_="all")
    assert report.totals.quantized == 0 and report.totals.imported == 1
    assert "1 of 2 Convs imported, 1 activations imported" in report.summary() and " by " not in report.summary()
    assert "1 activations quantized" in int4q.inspect(report.model).summary()
    assert "1 activations restored" in int4q.restore(report.model, activations=True).summary()
    both = int4q.restore(report.model, activations=True, weights=True)
    assert "1 weights and 1 activations restored" in both.summary()
    assert int4q.rewrite(quant_and_float(), import_="all", method="squant").totals.quantized == 1


def test_errors(tmp_path):
    """An exception with the program's line and status, and its report where it got as far."""
    with pytest.raises(int4q.Error, match="no-such.onnx: .*No such file") as caught:
        int4q.rewrite("no-such.onnx", dry_run=True)
    assert caught.value.status == 1 and caught.value.report is None
    with pytest.raises(int4q.Error, match="unknown option") as caught:
        int4q.rewrite(MODEL, dry_run=True, colour="blue")
    assert caught.value.status == 2
    with pytest.raises(int4q.Error) as caught:
        int4q.inspect(b"no model")
    assert caught.value.status == 3
    with pytest.raises(int4q.Error, match="does not hold|int4>=9") as caught:
        int4q.inspect(MODEL, require=["int4>=9"])
    assert caught.value.status == 4 and caught.value.report["requirements"][0]["holds"] is False
    (tmp_path / "there.onnx").write_bytes(b"")
    with pytest.raises(int4q.Error, match="there.onnx: already exists; force=True replaces it$"):
        int4q.rewrite(MODEL, tmp_path / "there.onnx")
    with pytest.raises(int4q.Error, match="^the model: malformed"):
        int4q.rewrite(b"no model")
    assert int4q.rewrite(MODEL, tmp_path / "there.onnx", force=True).written


def test_warnings(tmp_path, monkeypatch):
    """What the program says on standard error, and goes on, is a warning of Python's."""
    with pytest.warns(int4q.ToolWarning, match="^--method absmax at 4 bits"):
        int4q.rewrite(MODEL, method="absmax", dry_run=True)
    program = tmp_path / "int4q"
    program.write_text(f'#!/bin/sh\necho "int4q: take care" >&2\nexec {INT4Q} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("INT4Q", str(program))
    with pytest.warns(int4q.ToolWarning, match="^take care$"):
        report = int4q.rewrite(MODEL)
    assert "take care" in report.warnings


class Table(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


def test_notebook():
    """A summary and a table, the worst Convs first; names are text."""
    report = int4q.rewrite(MODEL)
    table = Table(report._repr_html_())
    assert table.tags.count("tr") == 5 and "3 of 4 Convs in int4 by squant" in table.texts[0]
    worst = min((c for c in report.convs if c.sqnr_db), key=lambda c: c.sqnr_db)
    assert table.texts[1 + len(report.columns)] == worst.node
    nasty = dataclasses.replace(report, json={**report.json, "convs": [{**report.json["convs"][0], "node": "<b>"}] * 20})
    assert "<b>" not in nasty._repr_html_() and "and 8 more" in nasty._repr_html_()
    assert "3 int4, 1 float" in int4q.inspect(report.model)._repr_html_()
    assert "3 weights restored" in int4q.restore(report.model)._repr_html_()


def test_pandas(monkeypatch):
    """Rows with all their keys, for whatever pandas makes of them."""
    monkeypatch.setitem(sys.modules, "pandas", types.SimpleNamespace(DataFrame=list))
    report = int4q.rewrite(MODEL)
    assert report.to_pandas() == report.json["convs"]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ModuleNotFoundError, match="to_pandas needs pandas: pip install pandas"):
        report.to_pandas()


def test_old_and_new_programs():
    """A report with keys that nobody knows yet is read all the same; they are in `json`."""
    document = json.loads(run_int4q("rewrite", MODEL, "-n", "--json", "-").stdout)
    document["new"], document["convs"][0]["new"] = 1, 2
    report = reports.make(reports.Report, document)
    assert report.convs[0].node == "/model.0/conv/Conv" and report.json["convs"][0]["new"] == 2


# ---- Where the program is

def test_program(tmp_path, monkeypatch):
    assert int4q.find_program() == os.path.abspath(INT4Q)
    monkeypatch.setenv("INT4Q", "no-such-program")
    with pytest.raises(FileNotFoundError, match="no-such-program: no such program"):
        int4q.find_program()
    monkeypatch.delenv("INT4Q")
    monkeypatch.setattr(installation, "PACKAGE", tmp_path / "share" / "int4q" / "int4q")  # as cmake --install has it
    monkeypatch.setattr(installation.sysconfig, "get_path", lambda *_: str(tmp_path / "nowhere"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "int4q").symlink_to(INT4Q)
    assert int4q.find_program() == str(tmp_path / "bin" / "int4q")
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "bin" / "int4q").unlink()
    with pytest.raises(FileNotFoundError, match="no int4q or in PATH|in PATH"):
        int4q.find_program()
    with pytest.raises(FileNotFoundError, match="not in this installation"):
        monkeypatch.delenv("INT4Q_OPS_LIBRARY", raising=False)
        int4q.ops_library()
    (tmp_path / "share" / "int4q" / "int4q").mkdir(parents=True)
    (tmp_path / "share" / "int4q" / "int4q" / "libint4q_ort.so").write_bytes(b"")
    assert int4q.ops_library().endswith("int4q/libint4q_ort.so")


def test_quiet_import():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert set(int4q.__all__) <= set(dir(int4q))
    with pytest.raises(AttributeError):
        _ = int4q.nothing
