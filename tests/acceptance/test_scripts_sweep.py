# SPDX-License-Identifier: Apache-2.0
"""scripts/sensitivity_sweep.py: against one rewrite and one session a Conv; workers and sweeps that are killed."""
import json
import os
import re
import shutil
import signal

import numpy as np
import onnx
import pytest
from cluster import start, wait_for
from helpers import INT4Q, ROOT, make_model, run, run_int4q, shared_data, tensor, value, yolo_scene
from onnx import helper, numpy_helper

from int4q.lab.commands import sensitivity_sweep as sweep
from int4q.lab.detection import detectors, pictures, similarity
from int4q.lab.experiment import candidates
from int4q.lab.experiment import sweep as sweep_tasks
from int4q.lab.models.graph import Graph

SCRIPTS = os.path.join(ROOT, "scripts")


@pytest.fixture(scope="module")
def yolo(tmp_path_factory):
    return yolo_scene(tmp_path_factory.mktemp("yolo"))


SOME = "--include '/model.[0-4]/*' --include '*one2one_cv3*'"  # of the 82 Convs
COUNT = 13 + 15


def options(yolo, work, *more):
    return [str(yolo / "n.onnx"), "--images", str(yolo / "images"), "-n", "3", "-o", str(work / "sens.json"), "--work",
            str(work / "work"), "--int4q", INT4Q, "--rewrite", SOME, *map(str, more)]


def result(work):
    return json.loads((work / "sens.json").read_text())


def journal(work):
    """Whole lines of the results that are on the disk."""
    files = list((work / "work").glob("*.jsonl")) if (work / "work").exists() else []
    return [line for file in files for line in file.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


@pytest.fixture(scope="module")
def swept(yolo, tmp_path_factory):
    """A sweep from beginning to end."""
    work = tmp_path_factory.mktemp("swept")
    sweep.main(options(yolo, work, "-j", "2", "--group", "7"))
    return work


# ---- Parts of a model

def test_parts(yolo):
    """Cut anywhere, the two parts together are the whole."""
    model = onnx.load(yolo / "n.onnx")
    graph = Graph(model, ["output0", "/model.23/Sigmoid_output_0"])
    feed = {"images": np.random.default_rng(0).random((1, 3, 64, 64), np.float32)}
    whole = graph.run(0, len(graph.nodes), [feed], graph.outputs)[0]
    for cut in (0, 1, 17, 100, graph.best_cut(120, 130), len(graph.nodes) - 40, len(graph.nodes)):
        state = graph.run(0, cut, [feed], graph.live(cut))
        for name, array in graph.run(cut, len(graph.nodes), state, graph.outputs)[0].items():
            np.testing.assert_allclose(array, whole[name], rtol=1e-4, atol=1e-4, err_msg=f"{cut} {name}")


def test_live():
    """Constants are not live, what a body reads is; an output that is computed early is carried to the end."""
    then, other = (helper.make_graph([helper.make_node("Add", ["a", "k"], ["t"])], "g", [], [value("t", 1, 3, 6, 6)])
                   for _ in range(2))
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Identity", ["k0"], ["k"]),
             helper.make_node("Neg", ["a"], ["early"]), helper.make_node("Neg", ["x"], ["b"]),
             helper.make_node("ReduceMax", ["b"], ["m"], keepdims=0), helper.make_node("Greater", ["m", "k0"], ["c"]),
             helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other)]
    model = make_model(nodes, [numpy_helper.from_array(np.float32(0.5), "k0")])
    graph = Graph(model, ["early", "y"])
    assert graph.live(0) == ["x"] and graph.live(3) == ["x", "a", "early"] and graph.live(4) == ["a", "early", "b"]
    assert graph.best_cut(0, 5) == 0 and graph.best_cut(1, 2) == 2
    feed = {"x": np.random.default_rng(0).random((1, 3, 6, 6), np.float32)}
    state = graph.run(0, 4, [feed], graph.live(4))
    found = graph.run(4, 7, state, graph.outputs)[0]
    np.testing.assert_array_equal(found["y"], feed["x"] + np.float32(0.5))
    np.testing.assert_array_equal(found["early"], -feed["x"])


# ---- Candidates

@pytest.mark.parametrize("rewrite", ["", "--method squant"])
def test_candidates_are_rewrites_of_one(yolo, tmp_path, rewrite):
    """A candidate has the weight and the bias that `int4q rewrite --include` of this Conv alone gives."""
    path = str(yolo / "n.onnx")
    model = onnx.load(path)
    found = candidates.find_candidates(model, candidates.quantized(path, INT4Q, rewrite.split()))
    assert len(found) == 82 and [c.at for c in found] == sorted(c.at for c in found)
    graph, feed = Graph(model, ["output0"]), {"images": np.full((1, 3, 64, 64), 0.3, np.float32)}
    assert any(len(c.changes.stored) == 2 for c in found[3::26]) == bool(rewrite)
    for candidate in found[3::26]:
        small, wide = tmp_path / "small.onnx", tmp_path / "wide.onnx"
        run_int4q("rewrite", path, "-o", small, "-f", "-q", "--include", candidate.layer, *rewrite.split())
        run_int4q("restore", small, "-o", wide, "-f", "-q")
        alone = onnx.load(wide)
        stored = {t.name: numpy_helper.to_array(t) for t in alone.graph.initializer}
        for name, array in candidate.changes.stored.items():
            np.testing.assert_array_equal(array, stored[name])
        whole = graph.part(0, len(graph.nodes), feed, ["output0"], candidate.changes)
        np.testing.assert_array_equal(run(whole, feed)[0], run(alone, feed)[0])


def test_shared_and_constant_weights(tmp_path):
    """A weight of two Convs is one candidate, at the first of them; one in a Constant node is replaced there."""
    constant = helper.make_node("Constant", [], ["v"], value=tensor("v", 3, 3, 1, 1))
    nodes = [constant, helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Conv", ["a", "w"], ["b"], name="one"),
             helper.make_node("Conv", ["b", "v"], ["c"]), helper.make_node("Identity", ["w"], ["w2"]),
             helper.make_node("Conv", ["c", "w2"], ["y"], name="two")]
    model = make_model(nodes, [tensor("w", 3, 3, 1, 1)])
    onnx.save(model, tmp_path / "m.onnx")
    found = candidates.find_candidates(model, candidates.quantized(str(tmp_path / "m.onnx"), INT4Q, []))
    assert [(c.layer, c.at, list(c.changes.stored)) for c in found] == [("one", 2, ["w"]), ("v", 3, ["v"])]
    graph, feed = Graph(model, ["y"]), {"x": np.random.default_rng(0).random((1, 3, 6, 6), np.float32)}
    for candidate in found:
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        for name, array in candidate.changes.stored.items():
            target = copy.graph.initializer[0] if name == "w" else copy.graph.node[0].attribute[0].t
            target.CopyFrom(numpy_helper.from_array(array, name))
        part = graph.part(candidate.at, 6, graph.run(0, candidate.at, [feed], graph.live(candidate.at))[0], ["y"],
                          candidate.changes)
        state = graph.run(0, candidate.at, [feed], graph.live(candidate.at))[0]
        got = run(part, {i.name: state[i.name] for i in part.graph.input})
        np.testing.assert_allclose(got[0], run(copy, feed)[0], atol=1e-5)


# ---- Sweeps

def brute_force(path, images, layers):
    """{layer: KL}: one rewrite, one session a Conv, on all images; the mean over the images of eval_coco's sum."""
    def probabilities(model):
        found = detectors.Detector(model, probabilities=True)
        return [found.probabilities(found.run(found.prepare(pictures.read_picture(i))[0])) for i in images]
    wanted, found = probabilities(path), {}
    for layer in layers:
        alone = os.path.join(os.path.dirname(images[0]), "..", "alone.onnx")
        run_int4q("rewrite", path, "-o", alone, "-f", "-q", "--include", layer)
        found[layer] = np.mean([similarity.divergence(p, q) for p, q in zip(wanted, probabilities(alone))])
    return found


def spearman(a, b):
    def rank(values):
        return np.argsort(np.argsort(values))
    return np.corrcoef(rank(a), rank(b))[0, 1]


def test_brute_force(yolo, swept):
    """The same figures; most sensitive first; int4q understands the file, to the last name."""
    rows = result(swept)["layer_sensitivity"]
    assert len(rows) == COUNT and [r["sensitivity"] for r in rows] == sorted((r["kl"] for r in rows), reverse=True)
    assert all(0 < r["kl_error"] < 2 * r["kl"] and r["sensitivity_error"] == r["kl_error"] for r in rows if r["kl"] > 1e-6)
    assert all(r["num_bits"] == 4 and r["box_mse"] >= 0 and r["weights"] > r["bytes_saved"] / 4 > 0 for r in rows)
    assert all(1e-4 < r["noise"] < 1 for r in rows)  # of 4-bit codes
    images = pictures.list_pictures(yolo / "images")
    shutil.copytree(yolo / "images", swept / "brute" / "images")
    images = pictures.list_pictures(swept / "brute" / "images")
    wanted = brute_force(str(yolo / "n.onnx"), images, [r["layer"] for r in rows[::5]])
    for row in rows[::5]:
        assert row["kl"] == pytest.approx(wanted[row["layer"]], rel=1e-2)
    report = json.loads(run_int4q("rewrite", yolo / "n.onnx", "--topk", swept / "sens.json", "--keep", 5, "--dry-run",
                                  "--json", "-").stdout)
    kept = {c["node"] for c in report["convs"] if c["reason"] == "sensitive"}
    assert kept == {r["layer"] for r in rows[:5]} and report["topk"]["unmatched"] == []
    assert (swept / "sens.svg").read_text().startswith("<?xml")


def test_both(yolo, swept, tmp_path):
    """Classes and boxes, each as a part of its sum; what was measured is not measured again."""
    sweep.main(options(yolo, tmp_path, "--work", swept / "work", "--metric", "both"))
    rows = result(tmp_path)["layer_sensitivity"]
    kl, boxes = (sum(r[key] for r in rows) for key in ("kl", "box_mse"))
    assert all(r["sensitivity"] == pytest.approx(r["kl"] / kl + r["box_mse"] / boxes) for r in rows)
    assert all(0 <= r["sensitivity_error"] < 2 for r in rows) and len(rows) == COUNT
    assert [r["layer"] for r in rows] != [r["layer"] for r in result(swept)["layer_sensitivity"]]


def test_same_again(yolo, swept, tmp_path, capsys):
    """Other groups, other workers: the same file. A second run only reads what the first one stored."""
    sweep.main(options(yolo, tmp_path, "-j", "1", "--group", "14"))
    ours, theirs = result(tmp_path)["layer_sensitivity"], result(swept)["layer_sensitivity"]
    assert [r["layer"] for r in ours][:10] == [r["layer"] for r in theirs][:10]
    for mine, other in zip(sorted(ours, key=lambda r: r["layer"]), sorted(theirs, key=lambda r: r["layer"])):
        assert mine["kl"] == pytest.approx(other["kl"], rel=1e-2) and mine["layer"] == other["layer"]
    text = (swept / "sens.json").read_bytes()
    capsys.readouterr()
    sweep.main(options(yolo, swept, "--scheduler", "tcp://127.0.0.1:9"))  # nobody there, nobody needed
    assert (swept / "sens.json").read_bytes() == text
    assert f"{COUNT} of {COUNT} Convs are done already" in capsys.readouterr().err


def test_errors_of_means():
    assert sweep_tasks.mean_error([1.0, 3.0]) == (2.0, 1.0) and sweep_tasks.mean_error([4.0]) == (4.0, None)
    assert sweep_tasks.mean_error([]) == (None, None)


def test_map(yolo, tmp_path):
    sweep.main(options(yolo, tmp_path, "--annotations", yolo / "truth.json", "--metric", "map", "--rewrite",
                       "--include '/model.0/*' --include '/model.1/*' --format int8"))
    found = result(tmp_path)
    assert [r["num_bits"] for r in found["layer_sensitivity"]] == [8, 8]
    assert all(r["sensitivity"] == r["map_drop"] and abs(r["map_drop"]) <= 100 for r in found["layer_sensitivity"])


def wait_for_rows(work, count, process=None):
    wait_for(lambda: len(journal(work)) >= count, work, process)


def test_killed_sweep(yolo, swept, tmp_path):
    """Killed with its workers in the middle: what was stored is kept as it is, and only the rest is done."""
    args = options(yolo, tmp_path, "-j", "2", "--group", "7")
    process = start(tmp_path, "sweep", os.path.join(SCRIPTS, "sensitivity_sweep.py"), *args, start_new_session=True)
    wait_for_rows(tmp_path, 2, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = journal(tmp_path)
    assert 2 <= len(before) < COUNT
    sweep.main(args)
    after = journal(tmp_path)
    assert after[:len(before)] == before and len(after) == COUNT
    assert result(tmp_path)["layer_sensitivity"] == result(swept)["layer_sensitivity"]


@pytest.mark.parametrize("late", [False, True])
def test_killed_worker(yolo, swept, tmp_path, cluster, late):
    """Of two workers one is killed in the middle; also when it was the only one until then, and so has everything."""
    first = cluster.start_worker()
    if not late:
        cluster.start_worker()
    process = cluster.run("sensitivity_sweep", *options(yolo, tmp_path, "--group", "7"))
    wait_for_rows(tmp_path, 5, process)
    if late:
        first.send_signal(signal.SIGSTOP)  # so that it does not end before the other one comes
        cluster.start_worker()
        wait_for(lambda: cluster.workers() == 2, tmp_path, process)
        assert len(journal(tmp_path)) < COUNT
    first.kill()
    assert process.wait(300) == 0, (tmp_path / "sensitivity_sweep.log").read_text()
    assert len(journal(tmp_path)) == COUNT
    assert result(tmp_path)["layer_sensitivity"] == result(swept)["layer_sensitivity"]


def test_killed_scheduler(yolo, tmp_path, cluster):
    """One line of error, behind those that a slow machine gets of the progress; what is done is kept."""
    cluster.start_worker()
    process = cluster.run("sensitivity_sweep", *options(yolo, tmp_path, "--group", "7"))
    wait_for_rows(tmp_path, 3, process)
    cluster.processes[0].kill()
    assert process.wait(300) == 1
    said = (tmp_path / "sensitivity_sweep.log").read_text().splitlines()
    assert said[-1].startswith("sensitivity_sweep.py: Dask lost a task: "), said
    assert all(re.match(r"\d+ of 28 Convs, ", line) for line in said[:-1]), said
    assert len(journal(tmp_path)) >= 3


def test_errors(yolo, tmp_path):
    def refused(*args):
        with pytest.raises(SystemExit) as end:
            sweep.main([str(a) for a in args])
        text = str(end.value.code)
        assert text.startswith("sensitivity_sweep.py: ") and "\n" not in text
        return text
    good = options(yolo, tmp_path)
    assert "no Dask scheduler" in refused(*good, "--scheduler", "nonsense://1")
    assert "--nonsense" in refused(*good, "--rewrite=--nonsense")
    assert "nowhere: No such file" in refused(*good, "--images", tmp_path / "nowhere")
    assert "none.onnx: No such file" in refused(tmp_path / "none.onnx", *good[1:])
    assert "n.onnx: not JSON, nor any text" in refused(*good, "--annotations", yolo / "n.onnx")
    plain = make_model([helper.make_node("Conv", ["x", "w"], ["y"])], [tensor("w", 4, 3, 1, 1)])
    onnx.save(plain, tmp_path / "plain.onnx")
    assert "no family known" in refused(tmp_path / "plain.onnx", *good[1:])
    with pytest.raises(SystemExit) as end:
        sweep.main([*good, "--metric", "map"])
    assert end.value.code == 2


def test_trained(tmp_path):
    """On a trained YOLOv10n the ranking is that of brute force."""
    model, images = shared_data("models", "yolov10n_e2e_op13.onnx"), shared_data("coco-mini", "calib")
    sweep.main([model, "--images", images, "-n", "1", "-o", str(tmp_path / "sens.json"), "--work", str(tmp_path / "work"),
                "--int4q", INT4Q, "--rewrite", "--include '/model.[0-9]/*'"])
    rows = result(tmp_path)["layer_sensitivity"]
    assert len(rows) == 29
    (tmp_path / "one").mkdir()
    name = result(tmp_path)["dataset"]["images"][0]
    shutil.copy(os.path.join(images, name), tmp_path / "one" / name)
    wanted = brute_force(model, [str(tmp_path / "one" / name)], [r["layer"] for r in rows[::2]])
    assert spearman([r["kl"] for r in rows[::2]], [wanted[r["layer"]] for r in rows[::2]]) > 0.9
