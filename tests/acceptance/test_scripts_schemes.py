# SPDX-License-Identifier: Apache-2.0
"""scripts/make_schemes.py and run_schemes.py: from sensitivities to schemes, a table and a page."""
import collections
import csv
import html.parser
import io
import json
import os
import re
import shutil
import subprocess
import sys
import types
import urllib.parse

import numpy as np
import pytest
from cluster import wait_for
from helpers import INT4Q, ROOT, run_int4q, yolo_scene
from PIL import Image, ImageDraw

from int4q.lab.commands import calibrate, eval_coco, inspect_page, make_schemes, run_schemes, smoke_run
from int4q.lab.commands import experiment as experiment_command
from int4q.lab.detection import coco
from int4q.lab.experiment.pieces import Pieces
from int4q.lab.pages import charts, drawing, front, histograms, plots, report_page

SCRIPTS = os.path.join(ROOT, "scripts")

TOOL = ["--int4q", INT4Q]


@pytest.fixture(scope="module")
def yolo(tmp_path_factory):
    """The scene, and made-up sensitivities: the later in the graph, the more sensitive."""
    folder = yolo_scene(tmp_path_factory.mktemp("yolo"))
    report = json.loads(run_int4q("rewrite", folder / "n.onnx", "--dry-run", "--json", "-").stdout)
    rows = [{"layer": c["node"], "sensitivity": i + 1.0, "bytes_saved": c["bytes_before"] - c["bytes_after"]}
            for i, c in enumerate(report["convs"]) if c["reason"] is None]
    (folder / "sens.json").write_text(json.dumps({"model": {"path": str(folder / "n.onnx")}, "layer_sensitivity": rows}))
    return folder


def make(yolo, folder, *args):
    make_schemes.main([str(yolo / "sens.json"), "-o", str(folder), *TOOL, *map(str, args)])
    return json.loads((folder / "schemes.json").read_text())["schemes"]


def test_schemes(yolo, tmp_path):
    """K most sensitive kept, as float and INT8; the command does what is said, to the byte."""
    rows = json.loads((yolo / "sens.json").read_text())["layer_sensitivity"]
    found = make(yolo, tmp_path, "--keep", "0,3", "--method", "absmax", "--target", "30%")
    assert [(s["name"], s["kept"]) for s in found[:2]] == [("absmax-keep0", 0), ("absmax-keep3-float", 3)]
    assert [s["name"] for s in found[3:]] == ["absmax-keep3-int8", "absmax-size30p-int8"]
    assert set(found[1]["convs"]) == {r["layer"] for r in rows[-3:]} and found[3]["convs"] == found[1]["convs"]
    source = os.path.getsize(yolo / "n.onnx")
    for scheme in found:
        written = json.loads((tmp_path / f"{scheme['name']}.json").read_text())
        assert written == {"excluded_onnx_nodes": scheme["convs"]}
        command = [INT4Q, *scheme["command"].split()[1:]]
        subprocess.run([*command, "-q"], cwd=tmp_path, check=True)
        assert os.path.getsize(tmp_path / f"{scheme['name']}.onnx") == scheme["bytes"]
        assert "size30p" not in scheme["name"] or 0.25 * source < scheme["bytes"] <= 0.3 * source
    stored = json.loads(run_int4q("inspect", tmp_path / "absmax-keep3-int8.onnx", "--json", "-").stdout)["totals"]
    assert stored["int8"] == 3 and stored["int4"] == 79


def test_schemes_not_twice(yolo, tmp_path, monkeypatch):
    """The same command asks int4q nothing again, and writes what is gone; another one does."""
    options = ("--keep", "0,3", "--method", "absmax", "--keep-format", "int8")
    first, text = make(yolo, tmp_path, *options), (tmp_path / "schemes.json").read_text()
    (tmp_path / "absmax-keep3-int8.json").unlink()
    planned, plan = [], make_schemes.plan
    monkeypatch.setattr(make_schemes, "plan", lambda *args: planned.append(args) or plan(*args))
    assert make(yolo, tmp_path, *options) == first and not planned and (tmp_path / "schemes.json").read_text() == text
    assert json.loads((tmp_path / "absmax-keep3-int8.json").read_text()) == {"excluded_onnx_nodes": first[1]["convs"]}
    assert len(make(yolo, tmp_path, "--keep", "0", "--method", "absmax")) == 1 and planned
    said = json.loads((tmp_path / "schemes.json").read_text())["made"]
    assert [name for name, _ in said["files"]] == ["n.onnx", "sens.json"] and "int4q" in said["versions"]


def test_scheme_orders(yolo, tmp_path, capsys):
    """By loss a byte other Convs are kept; what gives the same model is listed once; a size that cannot be is a note."""
    found = make(yolo, tmp_path, "--keep", "5", "--method", "absmax", "--keep-format", "int8", "--order", "loss,byte")
    assert [s["name"] for s in found] == ["absmax-keep5-int8", "absmax-keep5-int8-byte"]
    assert found[0]["convs"] != found[1]["convs"] and found[1]["bytes"] < found[0]["bytes"]
    found = make(yolo, tmp_path, "--keep", "2,82", "--method", "squant", "--keep-format", "float", "--target", "1K")
    assert [s["name"] for s in found] == ["squant-keep2-float"]
    notes = capsys.readouterr().err.splitlines()
    assert len(notes) == 2 and "nothing to quantize" in notes[0] and "smallest possible output" in notes[1]
    make(yolo, tmp_path, "--keep", "2,2", "--method", "squant", "--keep-format", "float")
    assert sorted(os.listdir(tmp_path))[-2:] == ["schemes.json", "squant-keep2-float.json"]


def test_scheme_blocks(yolo, tmp_path):
    """Each choice with and without blocks; what is said of the size is what is written."""
    found = make(yolo, tmp_path, "--keep", "0,3", "--method", "squant", "--keep-format", "int8", "--block", "0,32")
    assert [(s["name"], s["block"]) for s in found] == [
        ("squant-keep0", 0), ("squant-keep3-int8", 0), ("squant-block32-keep0", 32), ("squant-block32-keep3-int8", 32)]
    subprocess.run([INT4Q, *found[3]["command"].split()[1:], "-q"], cwd=tmp_path, check=True)
    assert os.path.getsize(tmp_path / "squant-block32-keep3-int8.onnx") == found[3]["bytes"] > found[1]["bytes"]


def test_scheme_budgets(yolo, tmp_path, capsys):
    """Points of the curve, without sensitivities too; what is said of bits and bytes is what is written."""
    make_schemes.main(["--model", str(yolo / "n.onnx"), "-o", str(tmp_path), *TOOL, "--method", "squant", "--bits", "1,4,5.5"])
    found = json.loads((tmp_path / "schemes.json").read_text())
    assert found["sensitivities"] is None and "least that is possible" in capsys.readouterr().err
    assert [s["name"] for s in found["schemes"]] == ["squant-4bits", "squant-5.5bits"]
    losses = [s["predicted_loss"] for s in found["schemes"]]
    assert losses[0] > losses[1] and all(s["bits_per_weight"] <= b for s, b in zip(found["schemes"], (4, 5.5)))
    subprocess.run([INT4Q, *found["schemes"][1]["command"].split()[1:], "-q"], cwd=tmp_path, check=True)
    assert os.path.getsize(tmp_path / "squant-5.5bits.onnx") == found["schemes"][1]["bytes"]
    assert [s["name"] for s in make(yolo, tmp_path, "--method", "squant", "--keep", "0", "--bits", "4")] == [
        "squant-4bits", "squant-keep0"]
    for wrong in (["--model", "x.onnx", "--keep", "3"], ["--target", "2M"], []):
        with pytest.raises(SystemExit) as end:
            make_schemes.main([*wrong, "-o", str(tmp_path), *TOOL])
        assert end.value.code == 2


def test_scheme_activations(yolo, tmp_path, capsys):
    """Each method with activations in float and in 8 bits; the command does what the name says."""
    calibrate.main([str(yolo / "n.onnx"), "--images", str(yolo / "images"), "-n", "1", "--mean-only", "-o",
                    str(tmp_path / "stats")])
    found = make(yolo, tmp_path, "--keep", "0,3", "--keep-format", "int8", "--method", "absmax", "--activations",
                 "float,uint8", "--calibration", tmp_path / "stats")
    assert [s["name"] for s in found] == ["absmax-keep0", "absmax-keep3-int8", "absmax+uint8-keep0", "absmax+uint8-keep3-int8"]
    assert [s["method"] for s in found[1:3]] == ["absmax", "absmax+uint8"]
    for scheme in found[1::2]:
        subprocess.run([INT4Q, *scheme["command"].split()[1:], "-q"], cwd=tmp_path, check=True)
        assert os.path.getsize(tmp_path / f"{scheme['name']}.onnx") == scheme["bytes"]
    capsys.readouterr()
    with pytest.raises(SystemExit, match="0"):
        smoke_run.main([str(tmp_path / f"{s['name']}.onnx") for s in found[1::2]] + ["--out", str(tmp_path / "o"), *TOOL])
    plain, quantized = capsys.readouterr().out.splitlines()
    assert "79 Convs in 4 bits, output0" in plain and "79 Convs in 4 bits, 76 activations in 8, output0" in quantized
    with pytest.raises(SystemExit) as end:
        make(yolo, tmp_path, "--activations", "uint8")
    assert end.value.code == 2


def test_scheme_errors(yolo, tmp_path):
    def refused(*args):
        with pytest.raises(SystemExit) as end:
            make_schemes.main([*map(str, args), "-o", str(tmp_path), *TOOL])
        return end.value.code
    assert "none.json: No such file" in refused(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text('{"layer_sensitivity": [{"layer": 1}]}')
    assert "no rows with layer and sensitivity" in refused(tmp_path / "bad.json")
    assert "no model there" in refused(yolo / "sens.json", "--model", tmp_path / "none.onnx")
    assert refused(yolo / "sens.json", "--method", "magic") == 2
    assert refused(yolo / "sens.json", "--method", "calibrated") == 2
    assert refused(yolo / "sens.json", "--block", "-1") == 2
    assert refused(yolo / "sens.json", "--keep", "-1") == 2 and refused(yolo / "sens.json", "--keep", "x") == 2


# ---- The table and the page

class Page(html.parser.HTMLParser):
    """Collects tags, and what a browser would load."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.sources, self.ids, self.attributes = [], [], [], collections.defaultdict(list)
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.attributes[tag].append(attrs)
        self.sources += [attrs[k] for k in ("src", "href", "xlink:href") if k in attrs]
        self.ids += [attrs["id"]] if "id" in attrs else []


@pytest.fixture(scope="module")
def experiment(yolo, tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiment")
    make(yolo, folder, "--keep", "0,3", "--keep-format", "int8", "--bits", "4,6", "--method", "absmax,squant")
    extra = folder / "extra.onnx"
    run_int4q("rewrite", yolo / "n.onnx", "-o", extra, "-q", "--format", "int8")
    args = [str(folder / "schemes.json"), "--images", str(yolo / "images"), "--annotations", str(yolo / "truth.json"),
            "--models", str(extra), "-o", str(folder / "out"), "-j", "1", "--chunk", "2", "--draw", "2", "--bootstrap", "9",
            *TOOL]
    with pytest.raises(SystemExit) as end:
        run_schemes.main(args)
    assert end.value.code == 0
    return folder, args


def test_table(yolo, experiment):
    """The figures are those of eval_coco.py; float and the extra model are in the table."""
    folder, _ = experiment
    results = json.loads((folder / "out" / "results.json").read_text())
    rows = results["models"]
    assert [r["name"] for r in rows] == ["float", *(f"{m}-{b}bits" for m in ("absmax", "squant") for b in (4, 6)),
                                         "absmax-keep0", "absmax-keep3-int8", "squant-keep0", "squant-keep3-int8", "extra"]
    assert all((r["predicted_loss"] or 0) > 0 for r in rows[1:5]) and rows[5]["predicted_loss"] is None
    assert rows[2]["bits_per_weight"] <= 6 and rows[2]["predicted_loss"] < rows[1]["predicted_loss"]
    best, close = results["smallest"], [r for r in rows[1:] if r["mAP"] >= rows[0]["mAP"] - 1]
    assert best["bytes"] == min(r["bytes"] for r in close) and best["within"] == 1
    assert next(r for r in rows if r["name"] == best["name"])["command"] == best["command"]
    eval_coco.main([*(r["model"] for r in rows), "--images", str(yolo / "images"), "--annotations",
                    str(yolo / "truth.json"), "--bootstrap", "9", "--json", str(folder / "eval.json")])
    for mine, theirs in zip(rows, json.loads((folder / "eval.json").read_text())["models"]):
        for key in ("mAP", "mAP_low", "mAP_high", "mAP50", "difference", "kl", "bytes", "family", "images"):
            assert mine[key] == theirs[key], key
    assert rows[0]["ratio"] == 1 and rows[1]["ratio"] > 4 and all(r["smoke"] == "ok" for r in rows)
    with open(folder / "out" / "results.csv", encoding="utf-8") as file:
        assert [r["name"] for r in csv.DictReader(file)] == [r["name"] for r in rows]


def test_page(experiment):
    """One file that loads nothing: the answer with its command, pictures, every model, its links and the CSV."""
    folder, _ = experiment
    text = (folder / "out" / "report.html").read_text()
    page = Page(text)
    assert page.tags.count("img") == 4 and page.tags.count("th") >= 13 + 6 and page.tags.count("main") == 1
    links = [s for s in page.sources if not s.startswith(("data:image/jpeg;base64,", "data:text/csv;"))]
    assert links and all((folder / "out" / s).exists() for s in links)
    assert len(set(page.ids)) == len(page.ids)
    assert all(f'data-name="{n}"' in text for n in ("float", "absmax-keep0", "extra", "squant-keep3-int8"))
    shown = json.loads(text.split('<script type="application/json" id="data">')[1].split("</script>")[0])
    assert set(shown["charts"]) == {"by-map", "by-kl", "predicted", "convs", "convs-bytes"}
    assert {row["name"] for row in shown["models"]} >= {"absmax-keep0", "extra"} and "float" not in {r["name"] for r in shown["models"]}
    csv_link = next(s for s in page.sources if s.startswith("data:text/csv"))
    assert urllib.parse.unquote(csv_link.split(",", 1)[1]) == (folder / "out" / "results.csv").read_bytes().decode()
    assert all(svg["aria-label"] for svg in page.attributes["svg"] if svg.get("role") == "img")
    assert "Each class: float beside" in text and len(page.attributes["details"]) == 2
    rest = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"""(src|href)=["']?(https?:)?//|@import|url\(""", rest)


@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium")
def test_page_in_a_browser(experiment, tmp_path):
    """Charts are drawn; a row lights its point; sorting, filters and the answer do what they say; no line of the console."""
    folder, _ = experiment
    probe = """<script>
      addEventListener("load", () => setTimeout(async () => {
        const found = {}, rows = () => [...document.querySelectorAll("#models tbody tr")];
        const names = () => rows().filter((row) => !row.hidden).map((row) => row.dataset.name);
        const wait = () => new Promise((done) => setTimeout(done, 300));
        const sizes = () => [...document.querySelectorAll("#by-map .mark-symbol path")].map((path) => path.getAttribute("d"));
        found.charts = [...document.querySelectorAll(".chart")].map((place) => Boolean(place.querySelector("svg .mark-symbol path")));
        found.names = document.querySelectorAll("#by-map svg [aria-label]").length;
        const before = sizes();
        rows()[0].dispatchEvent(new PointerEvent("pointerenter"));
        await wait();
        found.lit = before.filter((d, i) => d !== sizes()[i]).length;
        document.querySelectorAll("#models thead button")[0].click();
        found.sorted = names();
        document.getElementById("words").value = "squant";
        document.getElementById("words").dispatchEvent(new Event("input", { bubbles: true }));
        found.filtered = names();
        document.getElementById("most").value = 1000;
        document.getElementById("most").dispatchEvent(new Event("input", { bubbles: true }));
        found.answer = document.querySelector("#answer [data-key=name]").textContent;
        found.wide = document.documentElement.scrollWidth;
        document.body.dataset.probe = JSON.stringify(found);
      }, 500));
    </script>"""
    made = json.loads((folder / "out" / "results.json").read_text())["models"][1:]
    (tmp_path / "page.html").write_text((folder / "out" / "report.html").read_text() + probe)
    for width in (390, 1280):
        done = subprocess.run(["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", f"--window-size={width},900",
                               f"--user-data-dir={tmp_path}/profile", "--virtual-time-budget=20000", "--enable-logging=stderr", "--dump-dom",
                               f"file://{tmp_path}/page.html"], capture_output=True, text=True, check=False, timeout=120)
        found = json.loads(html.unescape(re.search(r'data-probe="([^"]*)"', done.stdout)[1]))
        assert all(found["charts"]) and len(found["charts"]) == 5 and found["names"] > 5 and found["lit"] == 1
        assert found["sorted"] == sorted(found["sorted"]) and found["filtered"] == sorted(r["name"] for r in made if r["method"] == "squant")
        assert found["answer"] == min((r for r in made if r["command"]), key=lambda r: r["bytes"])["name"] and found["wide"] <= max(width, 500)  # a window is never narrower than that
        assert "CONSOLE" not in done.stderr


def test_nothing_twice(experiment, monkeypatch):
    """A second run does again the one piece that is gone, and writes the same results."""
    folder, args = experiment
    results, pieces = (folder / "out" / "results.json").read_bytes(), folder / "out" / "pieces"
    before, original, seen = sorted(pieces.iterdir()), Pieces.missing, []
    models = {p: p.stat().st_mtime_ns for p in (folder / "out" / "models").glob("*.onnx")}
    before[3].unlink()
    monkeypatch.setattr(Pieces, "missing", lambda *a: seen.extend(original(*a)) or seen)
    with pytest.raises(SystemExit) as end:
        run_schemes.main(args)
    assert end.value.code == 0 and sorted(pieces.iterdir()) == before
    assert len(seen) == 1 and len(seen[0][0]) <= 1 and len(seen[0][1]) <= 2
    assert {p: p.stat().st_mtime_ns for p in models} == models
    again, first = (json.loads(t)["models"] for t in ((folder / "out" / "results.json").read_text(), results))
    for a, b in zip(again, first):
        assert {k: v for k, v in a.items() if k != "ms_a_picture"} == {k: v for k, v in b.items() if k != "ms_a_picture"}


def test_columns(capsys):
    """The longest name decides where the figures stand; what failed is last."""
    row = {"bytes": 1489397, "mAP": 37.03, "mAP_low": None, "difference": None, "kl": 7.1, "iou": 0.944, "pareto": False}
    run_schemes.print_rows([{"name": "x" * 40, "bytes": None}, {**row, "name": "a"}, {**row, "name": "b" * 31, "kl": None}])
    lines = capsys.readouterr().out.splitlines()
    assert len({line.index("1489397") for line in lines[1:3]}) == 1 and lines[0].index("bytes") + 5 == lines[1].index("97 ") + 2
    assert lines[3].endswith("0  failed") and all(line == line.rstrip() for line in lines)


def test_cluster(experiment, tmp_path, cluster):
    """On workers that have none of our files: the same figures, also when the only one dies after its first piece."""
    folder, args = experiment
    first = cluster.start_worker()
    process = cluster.run("run_schemes", *args, "-o", tmp_path / "out")
    wait_for(lambda: list((tmp_path / "out").glob("pieces/*")), tmp_path, process)
    first.kill()
    cluster.start_worker()
    assert process.wait(300) == 0, (tmp_path / "run_schemes.log").read_text()
    wanted, got = (json.loads((f / "results.json").read_text())["models"] for f in (folder / "out", tmp_path / "out"))
    assert [(r["name"], r["kl"], r["mAP"]) for r in got] == [(r["name"], r["kl"], r["mAP"]) for r in wanted]


def test_failing_model(yolo, experiment, tmp_path, capsys):
    """It is named and left out; the others are measured, and the exit status is 1."""
    folder, args = experiment
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    more = [a if a != str(folder / "extra.onnx") else str(tmp_path / "broken.onnx") for a in args]
    with pytest.raises(SystemExit) as end:
        run_schemes.main(more)
    assert end.value.code == 1 and "broken: " in capsys.readouterr().err
    rows = json.loads((folder / "out" / "results.json").read_text())["models"]
    assert rows[-1]["name"] == "broken" and "mAP" not in rows[-1] and rows[1]["mAP"] is not None
    assert "not an ONNX model" in (folder / "out" / "report.html").read_text()


def test_run_errors(yolo, experiment, tmp_path):
    _, args = experiment

    def refused(*args):
        with pytest.raises(SystemExit) as end:
            run_schemes.main([*map(str, args)])
        return end.value.code
    assert "no schemes of make_schemes.py" in refused(yolo / "truth.json", *args[1:])
    assert "no such directory" in refused(*args, "--images", tmp_path / "nowhere")
    assert "two models are called n" in refused(*args, "--models", yolo / "n.onnx", yolo / "n.onnx")


def test_answer():
    """The smallest that loses at most 1 mAP, with its command; and where there is none."""
    rows = [{"name": "float", "bytes": 100, "mAP": 40.0}, {"name": "a", "bytes": 9, "mAP": 38.9},
            {"name": "b", "bytes": 20, "mAP": 39.0, "command": "int4q rewrite"}, {"name": "c", "bytes": 30, "mAP": 41.0}]
    assert run_schemes.answer(rows) == "smallest within 1 mAP: b, 20 bytes, -1.00 mAP: int4q rewrite"
    assert run_schemes.answer(rows[:1] + rows[3:]) == "smallest within 1 mAP: c, 30 bytes, +1.00 mAP"
    assert run_schemes.answer(rows[:2]) == "nothing is within 1 mAP of the float model"


def test_front():
    """Rising bytes, rising mAP; of two of one size the better; an equal one that is larger is not on it."""
    points = [(5, 40), (1, 10), (1, 12), (3, 40), (2, 11), (9, 41)]
    assert front.pareto_front(points) == [2, 3, 5]


def test_plots():
    rows = [{"name": str(i), "method": "m", "bytes": b, "mAP": 10 * i, "mAP_low": 0, "mAP_high": 9} for i, b in
            enumerate((10 ** 6, 2 * 10 ** 6, 10 ** 7))]
    assert plots.svg(plots.pareto(rows)) == plots.svg(plots.pareto(rows))
    assert plots.svg(plots.pareto(rows[:1])).startswith("<?xml")
    low = [{**rows[0], "mAP": 1.0, "name": "lost"}, {**rows[1], "bytes": 10 ** 6, "mAP": 30.0, "name": "good"}]
    def notes(figure):
        return figure.get_supxlabel().replace("\u00a0", " ")
    assert "below: lost 1.0" in notes(plots.pareto(low)) and "1 good" in notes(plots.pareto(low))
    assert "below" not in notes(plots.pareto(low, depth=40)) and "1 lost, 2 good" in notes(
        plots.pareto([{**low[0]}, {**low[1], "bytes": 2 * 10 ** 6}], depth=40))
    assert plots.short("a" * 50) == "…" + "a" * 43
    assert plots.wrapped(["front:", "1 a-b", "2 c"], 12) == ["front:", "1\u00a0a-b, 2\u00a0c"]
    assert "://creativecommons" not in plots.svg(plots.pareto(rows))


def test_charts():
    """The same specification for the same rows; points that are too low are cut off, what has no KL is not in that chart."""
    rows = [{"name": n, "method": m, "kind": k, "bytes": b, "mAP": 30 + d, "difference": d, "difference_low": d - 1 if d else None,
             "difference_high": d + 1 if d else None, "kl": kl} for n, m, k, b, d, kl in (
                 ("float", "float", "float", 9_000_000, 0.0, None), ("a", "squant", "per channel", 1_000_000, -30.0, 9.0),
                 ("b", "squant", "block 32", 1_500_000, -2.0, 5.0), ("c", "absmax", "block 32", 1_600_000, -3.0, 8.0))]
    marks = charts.marks_of(rows)
    made = charts.candidates_chart(rows, marks, "difference", "mAP")
    assert made == charts.candidates_chart(rows, marks, "difference", "mAP") and made["width"] == "container"
    domains = [layer["encoding"]["y"]["scale"]["domain"] for layer in made["layer"] if "scale" in layer["encoding"].get("y", {})]
    assert domains and all(domain == [-13, 1] for domain in domains)
    assert len(set(marks.colours.values())) == 3 and len(set(marks.shapes.values())) == 3
    assert [row["name"] for row in charts.front_rows(rows, "difference")] == ["a", "b", "float"]
    assert [row["name"] for row in charts.front_rows(rows, "kl")] == ["a", "b"]
    convs = [{"layer": "x", "sensitivity": 2.0, "bytes_saved": 4000}, {"layer": "y", "sensitivity": 0.0, "bytes_saved": 1}]
    assert [row["loss"] for row in charts.sensitivity_chart(convs, "KL", per_byte=True)["data"]["values"]] == [0.5]
    noisy = [{**convs[0], "sensitivity_error": error} for error in (0.25, 1.5)]
    chart = charts.sensitivity_chart(noisy, "KL", per_byte=True)
    shown = chart["data"]["values"]
    assert len(chart["layer"]) == 2 and len(charts.sensitivity_chart(convs, "KL")["layer"]) == 1
    assert [(row["low"], row["high"]) for row in shown] == [(0.375, 0.625), (0.05, 1.25)]


def test_classes_of_the_page():
    """The greatest loss first, with the objects that are in the pictures."""
    truth = coco.COCO()
    truth.dataset = {"images": [{"id": 1}, {"id": 2}], "categories": [{"id": 3, "name": "cat"}, {"id": 5}],
                     "annotations": [{"id": n, "image_id": i, "category_id": c} for n, (i, c) in enumerate([(1, 3), (1, 5), (2, 5)], 1)]}
    truth.createIndex()
    rows = [{"classes": {"cat": 50.0, "5": 40.0}}, {"classes": {"cat": 51.0, "5": 20.0}}]
    assert report_page.class_rows(rows[1], rows[0], [(1, "")], truth) == [
        {"name": "5", "objects": 1, "float": 40.0, "shown": 20.0, "difference": -20.0},
        {"name": "cat", "objects": 1, "float": 50.0, "shown": 51.0, "difference": 1.0}]


def test_answer_of_the_page():
    """The smallest that int4q makes; nothing when nothing is near enough."""
    rows = [{"name": n, "bytes": b, "difference": d, "command": c} for n, b, d, c in (
        ("a", 3, -0.5, "x"), ("b", 2, -1.0, "x"), ("c", 1, -0.1, None), ("d", 1, -5.0, "x"))]
    assert report_page.smallest_within(rows, 1)["name"] == "b" and report_page.smallest_within(rows, 0.1) is None
    assert "±1.0 mAP" in report_page.caution(20, [{}, {"difference_low": -2, "difference_high": 0}])
    assert "KL tells" in report_page.caution(20, [{}]) and "KL tells" not in report_page.caution(5000, [{}])


def test_histogram():
    """An outline inside of its frame, also of nothing but zeros."""
    for weights in (np.zeros((2, 3, 1, 1), np.float32), np.random.default_rng(0).standard_normal((2, 30, 1, 1))):
        numbers = [float(n) for n in re.findall(r"V([0-9.]+)", histograms.histogram("x", weights)["path"])]
        assert len(numbers) == 152 and min(numbers) == 2 and max(numbers) == 100


@pytest.mark.parametrize("step, codes", [(0.25, [-7, -3, 0, 2, 5]), (1e-4, [-8, -8, 6]), (3.0, [0, 0]), (0.1, [-4, 6, 3])])
def test_grid_of_a_channel(step, codes):
    """The step, or a multiple of it that all codes are on."""
    found = histograms.grid_step(np.float32(step) * np.array(codes, np.float32))
    common = np.gcd.reduce(np.abs(codes)) or 1
    assert found == pytest.approx(step * common if any(codes) else 1)


def test_histogram_of_its_own_grid():
    """Lines at all codes, of both channels; without a grid those of absmax, of 8 bits none."""
    codes = np.array([[-8, 3, 1, 7], [-2, 0, 1, 2]], np.float32)
    weights = codes * np.array([[0.5], [0.01]], np.float32)
    made = histograms.histogram("x", weights + 0.001, weights)
    assert made["own"] and made["lines"] == list(range(-8, 8)) and made["left"] < -8 and made["left"] + made["width"] > 7
    noise = np.random.default_rng(0).standard_normal((2, 300)).astype(np.float32)
    for decoded in (None, noise, noise[:, :9]):
        made = histograms.histogram("x", noise, decoded)
        assert not made["own"] and made["lines"] == list(range(-7, 8))
    made = histograms.histogram("x", noise, np.rint(noise * 30) / 30)
    assert made["own"] and not made["lines"]


def test_labels():
    """One place for two labels: the second goes below the first; where there is no end of them, the last place is taken."""
    pen, taken = ImageDraw.Draw(Image.new("RGB", (200, 100))), []
    for _ in range(3):
        taken.append(drawing.free_place(pen, "person 0.50", 10, 10, taken)[1])
    assert taken[0][3] <= taken[1][1] and taken[1][3] <= taken[2][1] and taken[0][0] == taken[2][0]
    assert drawing.free_place(pen, "cup", 10, 10, [(0, 0, 200, 999)])[0] == (10, 67)
    found = np.array([[0, 0, 150, 90], [1, 1, 9, 9.0]]), np.array([0.9, 0.1]), np.array([3, 5])
    categories, model = ["cat", "dog"], types.SimpleNamespace(class_names=["0", "1"])
    assert report_page.labels_of(model, categories) == categories
    model.class_names = ["dog", "cat"]
    assert report_page.labels_of(model, categories) == ["dog", "cat"]
    drawn = drawing.draw(np.zeros((100, 200, 3), np.uint8), found, ["", "", "", "dog"])
    assert Image.open(io.BytesIO(drawn)).size == (drawing.WIDTH, drawing.WIDTH // 2)


# ---- The page of one model

def test_inspect_page(yolo, experiment, tmp_path):
    """Every Conv with its codes; with the reference a plot of what they lost; nothing from elsewhere."""
    folder, _ = experiment
    made, out = folder / "out" / "models" / "squant-keep3-int8.onnx", tmp_path / "page.html"
    inspect_page.main([str(made), "--reference", str(yolo / "n.onnx"), "-o", str(out), *TOOL])
    text, page = out.read_text().replace("<wbr>", ""), Page(out.read_text())
    report = json.loads(run_int4q("inspect", made, "--reference", yolo / "n.onnx", "--json", "-").stdout)
    assert all(f"<td>{c['node']}</td>" in text for c in report["convs"]) and len(report["convs"]) == 83
    assert all(c["sqnr_db"] is None or f"<td>{c['sqnr_db']:.2f}</td>" in text for c in report["convs"])
    assert "<td>int4</td><td>79</td>" in text and "<td>int8</td><td>3</td>" in text
    assert "opset 13 -&gt; 21" in text
    assert "prefers-color-scheme:dark" in text and "currentColor" in text and "#000000" not in text and "fill: #ffffff" not in text
    assert page.tags.count("svg") == 1 + 82 and not any(s[0] != "#" for s in page.sources) and "script" not in page.tags
    assert len(set(page.ids)) == len(page.ids)
    inspect_page.main([str(made), "-o", str(out), *TOOL])
    assert Page(out.read_text()).tags.count("svg") == 82


def test_inspect_page_errors(tmp_path):
    with pytest.raises(SystemExit) as end:
        inspect_page.main([str(tmp_path / "none.onnx"), "-o", str(tmp_path / "page.html"), *TOOL])
    assert "none.onnx" in end.value.code and not (tmp_path / "page.html").exists()


# ---- All of the loop

def test_experiment_errors(yolo):
    """It says what it takes, and what is not there, before it installs, builds or computes anything."""
    def refused(*args):
        return subprocess.run([os.path.join(SCRIPTS, "experiment.sh"), *map(str, args)], capture_output=True, text=True,
                              check=False)
    assert refused().returncode == 2 and refused().stderr.startswith("experiment.sh [options] MODEL CALIBRATION_IMAGES")
    assert refused("--help").returncode == 0 and refused("--help").stdout == refused().stderr
    assert refused("--limit").returncode == 2
    assert refused("--metod", "x").stderr == "experiment.sh: unknown option '--metod'\n"
    done = refused(yolo / "n.onnx", yolo / "images", yolo / "images", yolo / "none.json")
    assert done.returncode == 1 and not done.stdout
    assert done.stderr == f"experiment.sh: {yolo / 'none.json'}: no such file or directory\n"


def test_experiment_steps(yolo, tmp_path, monkeypatch, capsys):
    """The commands that it says, with the options that were given; what the third made goes into the last."""
    calls, paths = [], [str(yolo / n) for n in ("n.onnx", "images", "images", "truth.json")]

    def run(command, **_):
        calls.append(command[3:])
        if command[3] == "int8-baseline":
            (tmp_path / "int8").mkdir()
            (tmp_path / "int8" / "w8.onnx").touch()
        return subprocess.CompletedProcess(command, int(command[3] == "run-schemes" and "--limit" in command))
    monkeypatch.setattr(experiment_command.subprocess, "run", run)
    experiment_command.main([*paths, "-o", str(tmp_path), "-n", "3", "--bits", "4,5", "--family", "yolov10", "-j", "1", *TOOL])
    assert [c[0] for c in calls] == ["eval-coco", "sensitivity-sweep", "calibrate", "int8-baseline", "make-schemes", "run-schemes"]
    assert all("yolov10" in c for c in calls if c[0] != "make-schemes") and calls[4][-4:-2] == ["--bits", "4,5"]
    assert [c[0] for c in calls if "-n" in c] == ["sensitivity-sweep", "calibrate", "int8-baseline"]
    assert calls[5][-2:] == ["--models", str(tmp_path / "int8" / "w8.onnx")] and "--bootstrap" not in calls[5]
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step")]
    assert said[0].startswith("step 1 of 5: int4q-lab sensitivity-sweep ") and len(said) == 5
    with pytest.raises(SystemExit, match="run-schemes ended with status 1"):
        experiment_command.main([*paths, str(tmp_path), "--limit", "1", "--no-int8", *TOOL])
    assert "--models" not in calls[-1] and "int8-baseline" not in [c[0] for c in calls[6:]]


def test_experiment(yolo, tmp_path):
    """All of it, on two pictures: a page, and the answer as the last but one line but the table."""
    done = subprocess.run([sys.executable, os.path.join(SCRIPTS, "experiment.py"), *(yolo / n for n in ("n.onnx", "images", "images", "truth.json")),
                           tmp_path, "-n", "1", "--limit", "2", "--bits", "8", "--method", "squant", "--no-int8", "--bootstrap", "0",
                           "-j", "1", *TOOL], capture_output=True, text=True, check=True)
    assert "step 4 of 4: int4q-lab run-schemes" in done.stdout and "smallest within 1 mAP: " in done.stdout
    assert (tmp_path / "report.html").stat().st_size > 1e5


@pytest.mark.parametrize("name", ["sensitivity_sweep", "make_schemes", "run_schemes", "smoke_run", "inspect_page"])
def test_help(name):
    done = subprocess.run([sys.executable, os.path.join(SCRIPTS, f"{name}.py"), "--help"], capture_output=True, text=True,
                          check=True)
    assert done.stdout.startswith("usage: ") and f"{name}.py " in done.stdout and not done.stderr
