# SPDX-License-Identifier: Apache-2.0
"""External data: read from beneath the model's directory only, written beside the output."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import numpy as np
import onnx
import pytest
from helpers import INT4Q, decoded_weights, make_model, random_feeds, run, run_int4q, tensor, value
from onnx import TensorProto, helper, numpy_helper


def small():
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["a"], name="one", pads=[1] * 4),
             helper.make_node("Conv", ["a", "v"], ["y"], name="two")]
    return make_model(nodes, [tensor("w", 32, 3, 3, 3), tensor("b", 32), tensor("v", 8, 32, 3, 3), tensor("idle", 3000)], opset=21,
                      outputs=[value("y", 1, 8, 4, 4)])


def save(folder, model, location="weights.bin", one_file=True):
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    onnx.save(copy, folder / "in.onnx", save_as_external_data=True, all_tensors_to_one_file=one_file, location=location,
              size_threshold=0)


def entries(tensor_proto):
    return {e.key: e.value for e in tensor_proto.external_data}


@pytest.mark.parametrize("one_file", [True, False])
def test_layout_is_kept(tmp_path, one_file):
    original = small()
    save(tmp_path, original, "weights.bin" if one_file else None, one_file)
    (tmp_path / "elsewhere").mkdir()
    out = tmp_path / "elsewhere" / "out.onnx"
    run_int4q("rewrite", tmp_path / "in.onnx", "-o", out, "-q", "--json", tmp_path / "report.json")
    onnx.checker.check_model(str(out), full_check=True)
    bare = onnx.load(out, load_external_data=False)
    places = {t.name: entries(t) for t in bare.graph.initializer if t.data_location == TensorProto.EXTERNAL}
    assert {"v_quantized", "idle"} <= set(places) and "v_scale" not in places
    assert all(set(p) == {"location", "offset", "length"} and p["location"] == "out.onnx.data" for p in places.values())
    assert int(places["idle"]["offset"]) % 4096 == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["output"]["bytes"] == sum(os.path.getsize(out.parent / f) for f in ("out.onnx", "out.onnx.data"))
    rewritten = onnx.load(out)
    before, after = ({t.name: numpy_helper.to_array(t) for t in m.graph.initializer if t.data_type == TensorProto.FLOAT}
                     for m in (original, rewritten))
    for name in ("b", "idle"):
        np.testing.assert_array_equal(before[name], after[name])
    reference = onnx.ModelProto()
    reference.CopyFrom(original)
    for stored in reference.graph.initializer:
        if stored.name in "wv":
            stored.CopyFrom(numpy_helper.from_array(decoded_weights(rewritten.graph)[stored.name], stored.name))
    feeds = random_feeds(original)
    assert run(rewritten, feeds)[0].tobytes() == run(reference, feeds)[0].tobytes()
    run_int4q("inspect", out, "--require", "int4==2", "--require", "valid")
    run_int4q("restore", out, "-o", tmp_path / "back.onnx")
    restored = {t.name: numpy_helper.to_array(t) for t in onnx.load(tmp_path / "back.onnx").graph.initializer}
    np.testing.assert_array_equal(restored["v"], decoded_weights(rewritten.graph)["v"])


def test_in_place(tmp_path):
    """The old files are read to the end before the new ones take their names."""
    save(tmp_path, small(), "in.onnx.data")
    run_int4q("rewrite", tmp_path / "in.onnx", "-o", tmp_path / "in.onnx", "-f", "-q")
    onnx.checker.check_model(str(tmp_path / "in.onnx"), full_check=True)
    assert sorted(os.listdir(tmp_path)) == ["in.onnx", "in.onnx.data"]
    run_int4q("inspect", tmp_path / "in.onnx", "--require", "int4==2")


def test_where_it_cannot_go(tmp_path):
    save(tmp_path, small())
    assert "standard output" in run_int4q("rewrite", tmp_path / "in.onnx", "-o", "-", status=2).stderr
    (tmp_path / "out.onnx.data").write_text("precious")
    done = run_int4q("rewrite", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", status=1)
    assert "out.onnx.data: already exists" in done.stderr
    assert (tmp_path / "out.onnx.data").read_text() == "precious" and not (tmp_path / "out.onnx").exists()
    assert sorted(os.listdir(tmp_path)) == ["in.onnx", "out.onnx.data", "weights.bin"]


def test_only_files_can_be_two(tmp_path):
    """Nothing is waited for, and nothing is made, where there can be no file beside the model."""
    save(tmp_path, small())
    os.mkfifo(tmp_path / "out.onnx.data")
    os.mkfifo(tmp_path / "pipe")
    before = sorted(os.listdir(tmp_path))
    for arguments, message in ((["-o", "out.onnx"], "its data file 'out.onnx.data' is no regular file"), (["-fo", "out.onnx"], "its data file"),
                               (["-o", "new.onnx", "--external-data", "pipe"], "its data file 'pipe' is no regular file"),
                               (["-o", "/dev/null"], "cannot go to '/dev/null', which is no regular file"),
                               (["-o", "/dev/null", "--external-data", "side.bin", "--no-sandbox"], "which is no regular file")):
        done = subprocess.run([INT4Q, "rewrite", "in.onnx", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 2 and message in done.stderr, done.stderr
        assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("name, arguments", [("\udcff.onnx", []), ("out.onnx", ["--external-data", "\udcc3"])])
def test_locations_are_utf8(tmp_path, name, arguments):
    save(tmp_path, small())
    done = run_int4q("rewrite", tmp_path / "in.onnx", "-o", tmp_path / name, *arguments, status=2)
    assert "data" in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["in.onnx", "weights.bin"]
    run_int4q("rewrite", tmp_path / "in.onnx", "-q", "-o", tmp_path / name, "--external-data", "inline")


def test_permissions(tmp_path):
    """A model that was private stays so, with its data."""
    save(tmp_path, small())
    os.chmod(tmp_path / "in.onnx", 0o600)
    run_int4q("rewrite", tmp_path / "in.onnx", "-qfo", tmp_path / "in.onnx")
    assert {f.name: f.stat().st_mode & 0o777 for f in tmp_path.iterdir() if f.name.startswith("in.")} == {"in.onnx": 0o600, "in.onnx.data": 0o600}


@pytest.fixture(name="shared_folder")
def make_shared_folder():
    """A folder that everybody may look into, with a model and a program that everybody may run."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        save(folder, small())
        shutil.copy(INT4Q, folder / "int4q")
        for file in folder.iterdir():
            os.chmod(file, 0o755)
        os.chmod(folder, 0o755)
        yield folder


def run_as_nobody(folder, *arguments):
    return subprocess.run([folder / "int4q", *arguments], cwd=folder, user=65534, group=65534, extra_groups=[], capture_output=True,
                          text=True, check=False)


def test_sticky_directory(shared_folder):
    """Where the old model cannot be replaced its new data does not stay."""
    (shared_folder / "out.onnx").write_text("precious")
    os.chmod(shared_folder, 0o1777)
    before = contents(shared_folder)
    done = run_as_nobody(shared_folder, "rewrite", "in.onnx", "-fo", "out.onnx")
    assert done.returncode == 1 and "cannot rename the finished file: Operation not permitted" in done.stderr
    assert contents(shared_folder) == before


def test_unreadable_data(shared_folder):
    """It is not the model that is wrong: status 1."""
    os.chmod(shared_folder / "weights.bin", 0o600)
    done = run_as_nobody(shared_folder, "inspect", "in.onnx")
    assert done.returncode == 1 and "cannot open 'weights.bin': Permission denied" in done.stderr


def with_entries(folder, **changes):
    """The small model with the first weight's external entries changed."""
    save(folder, small())
    model = onnx.load(folder / "in.onnx", load_external_data=False)
    weight = model.graph.initializer[0]
    merged = {**entries(weight), **changes}
    del weight.external_data[:]
    for key, text in merged.items():
        if text is not None:
            weight.external_data.add(key=key, value=text)
    (folder / "in.onnx").write_bytes(model.SerializeToString())


@pytest.mark.parametrize("changes, part", [
    ({"location": "/etc/passwd"}, "not beneath"), ({"location": "../weights.bin"}, "not beneath"),
    ({"location": "sub/../weights.bin"}, "not beneath"), ({"location": ".."}, "not beneath"), ({"location": ""}, "without a location"),
    ({"location": None}, "without a location"), ({"location": "missing.bin"}, "cannot open 'missing.bin': No such file"),
    ({"location": "directory"}, "not a regular file"), ({"location": "fifo"}, "not a regular file"),
    ({"location": "symlink"}, "symbolic link"), ({"location": "linked/weights.bin"}, "symbolic link"),
    ({"location": "hardlink"}, "hard link"), ({"offset": "99999999"}, "pass the end"), ({"length": "99999999"}, "pass the end"),
    ({"offset": "18446744073709551615"}, "pass the end"), ({"offset": "99999999999999999999"}, "not a number"),
    ({"length": "18446744073709551615"}, "pass the end"), ({"offset": "-1"}, "not a number"), ({"length": "0x10"}, "not a number"), ({"length": "100"}, "needs 3456 bytes")])
def test_refused(tmp_path, changes, part):
    with_entries(tmp_path, **changes)
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "real").write_bytes((tmp_path / "weights.bin").read_bytes())
    os.symlink("real", tmp_path / "symlink")
    os.symlink(".", tmp_path / "linked")
    os.link(tmp_path / "real", tmp_path / "hardlink")
    done = run_int4q("rewrite", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", status=3)
    assert "tensor 'w'" in done.stderr and part in done.stderr
    assert not (tmp_path / "out.onnx").exists() and not (tmp_path / "out.onnx.data").exists()


@pytest.mark.parametrize("location", ["symlink", "linked/weights.bin", "hardlink"])
def test_links_when_told_so(tmp_path, location):
    """As model caches have them."""
    with_entries(tmp_path, location=location)
    (tmp_path / "real").write_bytes((tmp_path / "weights.bin").read_bytes())
    os.symlink("real", tmp_path / "symlink")
    os.symlink(".", tmp_path / "linked")
    os.link(tmp_path / "real", tmp_path / "hardlink")
    run_int4q("rewrite", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", "-q", "--follow-symlinks")
    onnx.checker.check_model(str(tmp_path / "out.onnx"), full_check=True)


# Files of one run that are two things at once: what `in.onnx` and `weights.bin` hold, new data, or a file that is read.
COLLISIONS = [
    (["-o", "weights.bin"], "--output weights.bin is also a data file of the model"),
    (["-o", "out.onnx", "--external-data", "weights.bin"], "the data file weights.bin is also a data file of the model"),
    (["-o", "out.onnx", "--external-data", "in.onnx"], "the data file in.onnx is also MODEL"),
    (["-o", "link.onnx", "--external-data", "weights.bin"], "the data file weights.bin is also a data file of the model"),
    (["-o", "out.onnx", "--json", "weights.bin"], "--json weights.bin is also a data file of the model"),
    (["-o", "out.onnx", "--json", "./folder/../hard.bin", "--follow-symlinks"], "--json ./folder/../hard.bin is also a data file of the model"),
    (["-o", "out.onnx", "--json", "soft.bin"], "--json soft.bin is also a data file of the model"),
    (["-o", "out.onnx", "--json", "out.onnx.data"], "the data file out.onnx.data is also --json"),
    (["-o", "out.onnx", "--json", "folder/../side.bin", "--external-data", "side.bin"], "the data file side.bin is also --json"),
    (["-o", "out.onnx", "--topk", "sens.json", "--external-data", "sens.json"], "the data file sens.json is also --topk"),
    (["-o", "out.onnx", "--topk", "out.onnx.data"], "the data file out.onnx.data is also --topk"),
    (["-o", "out.onnx", "--include-from", "names", "--external-data", "names"], "the data file names is also --include-from"),
    (["-o", "out.onnx", "--calibration", "sens.json", "--json", "hard.json"], "--json hard.json is also --calibration"),
    (["-o", "in.onnx", "--json", "weights.bin"], "--json weights.bin is also a data file of the model"),
]


def folder_of_collisions(folder):
    save(folder, make_model([helper.make_node("Conv", ["x", "w"], ["y"], name="one")], [tensor("w", 512, 3, 3, 3)]))
    (folder / "folder").mkdir()
    (folder / "names").write_text("one\n")
    (folder / "sens.json").write_text('{"one": 1}')
    (folder / "out.onnx.data").write_text('{"one": 1}')
    os.symlink("in.onnx", folder / "link.onnx")
    os.symlink("weights.bin", folder / "soft.bin")
    os.link(folder / "sens.json", folder / "hard.json")


def contents(folder):
    return {f.name: f.read_bytes() for f in folder.iterdir() if f.is_file()}


def assert_refuses(folder, arguments, message, **streams):
    """A usage error, and every file as it was."""
    before = contents(folder)
    done = subprocess.run([INT4Q, *arguments], cwd=folder, stderr=subprocess.PIPE, text=True, check=False, **streams)
    assert done.returncode == 2 and message in done.stderr, done.stderr
    assert contents(folder) == before


@pytest.mark.parametrize("arguments, message", COLLISIONS)
def test_no_file_is_two_things(tmp_path, arguments, message):
    folder_of_collisions(tmp_path)
    if "hard.bin" in message:
        os.link(tmp_path / "weights.bin", tmp_path / "hard.bin")
    assert_refuses(tmp_path, ["rewrite", "in.onnx", "-f", *arguments], message)


def test_json_is_no_file_of_a_model(tmp_path):
    """Of none that is looked at, the reference included."""
    folder_of_collisions(tmp_path)
    (tmp_path / "other").mkdir()
    run_int4q("rewrite", tmp_path / "in.onnx", "-qo", tmp_path / "other" / "int4.onnx")
    assert_refuses(tmp_path, ["inspect", "in.onnx", "--json", "weights.bin"], "is also a data file of the model")
    assert_refuses(tmp_path, ["inspect", "other/int4.onnx", "--reference", "in.onnx", "--json", "weights.bin"], "is also a data file of the model")
    assert_refuses(tmp_path, ["inspect", "other/int4.onnx", "--reference", "in.onnx", "--json", "link.onnx"], "is also --reference")
    assert_refuses(tmp_path, ["restore", "other/int4.onnx", "-fo", "other/int4.onnx.data"], "is also a data file of the model")


def test_streams_are_no_file_of_a_model(tmp_path):
    folder_of_collisions(tmp_path)
    for name, message in (("in.onnx", "standard output is also MODEL"), ("weights.bin", "standard output is also a data file of the model")):
        with open(tmp_path / name, "ab") as stream:
            assert_refuses(tmp_path, ["inspect", "in.onnx"], message, stdout=stream)
    with open(tmp_path / "plain.onnx", "wb") as stream:
        stream.write(small().SerializeToString())
    with open(tmp_path / "plain.onnx", "rb") as stream:
        assert_refuses(tmp_path, ["inspect", "-", "--json", "plain.onnx"], "--json plain.onnx is also MODEL", stdin=stream)


def test_in_place_with_other_data(tmp_path):
    """The model goes, so its data may go."""
    save(tmp_path, small())
    run_int4q("rewrite", tmp_path / "in.onnx", "-qfo", tmp_path / "in.onnx", "--external-data", "weights.bin")
    onnx.checker.check_model(str(tmp_path / "in.onnx"), full_check=True)
    assert sorted(os.listdir(tmp_path)) == ["in.onnx", "weights.bin"]


def test_many_names_of_one_file(tmp_path):
    """Each is another file to the tool, and found at once."""
    model = make_model([helper.make_node("Conv", ["x", "w"], ["y"], name="one")], [tensor("w", 4, 3, 3, 3)])
    for i in range(20000):
        idle = model.graph.initializer.add(name=f"t{i}", data_type=TensorProto.UINT8, dims=[4], data_location=TensorProto.EXTERNAL)
        idle.external_data.add(key="location", value="./" * (i % 200) + "." + "/" * (i // 200 + 1) + "four.bin")
    (tmp_path / "four.bin").write_bytes(b"four")
    (tmp_path / "in.onnx").write_bytes(model.SerializeToString())
    run_int4q("rewrite", tmp_path / "in.onnx", "-q", "-o", tmp_path / "out.onnx")


def test_without_a_length(tmp_path):
    with_entries(tmp_path, length=None)
    run_int4q("rewrite", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", "-q")
    onnx.checker.check_model(str(tmp_path / "out.onnx"), full_check=True)


def test_standard_input_has_no_directory(tmp_path):
    save(tmp_path, small())
    import subprocess

    from helpers import INT4Q
    with open(tmp_path / "in.onnx", "rb") as file:
        done = subprocess.run([INT4Q, "inspect", "-"], stdin=file, capture_output=True, text=True, check=False)
    assert done.returncode == 3 and "standard input" in done.stderr


@pytest.mark.parametrize("was_external", [True, False])
@pytest.mark.parametrize("where", ["auto", "inline", "other.bin"])
def test_layout_is_chosen(tmp_path, where, was_external):
    """--external-data moves payloads, and changes nothing else."""
    if was_external:
        save(tmp_path, small())
    else:
        onnx.save(small(), tmp_path / "in.onnx")
    (tmp_path / "folder").mkdir()
    out = tmp_path / "folder" / "out.onnx"
    run_int4q("rewrite", tmp_path / "in.onnx", "-o", out, "-q", "--external-data", where, "--json", tmp_path / "report.json")
    files = {"auto": {"out.onnx.data"} if was_external else set(), "inline": set(), "other.bin": {"other.bin"}}[where]
    assert set(os.listdir(out.parent)) == {"out.onnx"} | files
    locations = {entries(t)["location"] for t in onnx.load(out, load_external_data=False).graph.initializer
                 if t.data_location == TensorProto.EXTERNAL}
    assert locations == files
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["output"]["bytes"] == sum(os.path.getsize(out.parent / f) for f in os.listdir(out.parent))
    run_int4q("rewrite", tmp_path / "in.onnx", "-o", tmp_path / "plain.onnx", "-q")
    for a, b in zip(onnx.load(out).graph.initializer, onnx.load(tmp_path / "plain.onnx").graph.initializer):
        assert a.name == b.name and a.raw_data == b.raw_data
    run_int4q("restore", out, "-o", tmp_path / "back.onnx", "--external-data", "inline")
    assert not os.path.exists(tmp_path / "back.onnx.data")


@pytest.mark.parametrize("where", ["", "a/b", "..", "out.onnx"])
def test_no_place_for_data(tmp_path, where):
    onnx.save(small(), tmp_path / "in.onnx")
    done = run_int4q("rewrite", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", "--external-data", where, status=2)
    assert "--external-data" in done.stderr
    assert os.listdir(tmp_path) == ["in.onnx"]


def test_inline_to_standard_output(tmp_path):
    """What came from two files can go through a pipe."""
    save(tmp_path, small())
    run_int4q("rewrite", tmp_path / "in.onnx", "-o", "-", "-q", status=2)
    piped = subprocess.run([INT4Q, "rewrite", tmp_path / "in.onnx", "-o", "-", "-q", "--external-data", "inline"],
                           capture_output=True, check=True).stdout
    onnx.checker.check_model(onnx.load_from_string(piped), full_check=True)


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_closed_descriptors(tmp_path, closed):
    """What is printed does not end in a file that was opened meanwhile."""
    save(tmp_path, small())
    command = [INT4Q, "rewrite", "in.onnx", "-fv", "--progress", "-o"]
    subprocess.run([*command, "one.onnx"], cwd=tmp_path, capture_output=True, check=True)

    def close():
        for descriptor in closed:
            os.close(descriptor)

    status = subprocess.run([*command, "two.onnx"], cwd=tmp_path, preexec_fn=close, check=False).returncode
    assert status == int(1 in closed)
    for name in ("onnx", "onnx.data"):
        wanted, got = ((tmp_path / f"{stem}.{name}").read_bytes() for stem in ("one", "two"))
        assert got == wanted.replace(b"one.", b"two.")
