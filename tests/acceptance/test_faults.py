# SPDX-License-Identifier: Apache-2.0
"""Whatever fails, nothing is lost: one call after another is made to fail, until a run needs no more of them.

After each run: no crash, the documented exit status, one line that says what is wrong, inputs as they were, outputs whole
(the old ones or the new ones), no temporary file, no block of memory more than a sound run leaves.
"""
import errno
import os
import shutil
import subprocess

import numpy as np
import onnx
import pytest
from helpers import INT4Q, make_model, tensor, value
from onnx import helper
from safetensors.numpy import save_file

LIBRARY = os.environ.get("INT4Q_FAULTS", "")
pytestmark = pytest.mark.skipif(not LIBRARY, reason="no fault library: a static or sanitized build, or not run by ctest")

OLD = "old.onnx"  # what stands at outputs that are to be replaced
COMMANDS = {
    "new": ["rewrite", "in.onnx", "-o", "out.onnx"],
    "replace": ["rewrite", "in.onnx", "-o", "out.onnx", "-f", "--json", "report.json"],
    "external": ["rewrite", "apart.onnx", "-o", "new.onnx"],
    "replace external": ["rewrite", "apart.onnx", "-o", "pair.onnx", "-f"],
    "replace half": ["rewrite", "apart.onnx", "-o", "half.onnx", "-f"],
    "in place": ["rewrite", "apart.onnx", "-o", "apart.onnx", "-f"],
    "streams": ["rewrite", "-", "-o", "-", "--op-types", "Conv,Gemm"],
    "choice": ["rewrite", "in.onnx", "-o", "out.onnx", "--topk", "sens.json", "--keep", "1", "--keep-format", "int8", "--exclude-from", "names",
               "--allow-unmatched"],
    "calibrated": ["rewrite", "in.onnx", "-o", "out.onnx", "--method", "calibrated", "--calibration", "stats.safetensors", "-j2"],
    "squant": ["rewrite", "in.onnx", "-o", "out.onnx", "--method", "squant", "--rank", "weights", "--target-size", "60%", "-j2"],
    "activations": ["rewrite", "in.onnx", "-o", "out.onnx", "--calibration", "stats.safetensors", "--activations", "uint4",
                    "--activation-scales", "channel", "--keep-activations", "1", "-j2"],
    "restore": ["restore", "pair.onnx", "-o", "back.onnx"],
    "inspect": ["inspect", "pair.onnx", "--stats", "--reference", "apart.onnx", "--json", "-", "--require", "valid"],
}
# What can fail, and the exit statuses that this may have; 0 always means outputs as they should be: stdio gets by without
# its buffer, jansson without random numbers, a directory need not be synced, a helper thread is not needed.
FAULTS = {
    "malloc": (errno.ENOMEM, {0, 1}), "open": (errno.EMFILE, {0, 1}), "openat": (errno.EIO, {1}), "openat2": (errno.EIO, {1}),
    "openat2 no": (errno.ENOSYS, {0}), "openat2 forbidden": (errno.EPERM, {0}), "fstat": (errno.EIO, {1}), "stat": (errno.EIO, {0, 1}), "mmap": (errno.ENOMEM, {1}),
    "mmap truncate": ("truncate", {1, 3}), "read": (errno.EIO, {0, 1}), "read interrupted": (errno.EINTR, {0}),
    "read short": ("short", {0}), "write": (errno.EIO, {1}), "write full": (errno.ENOSPC, {1}),
    "write interrupted": (errno.EINTR, {0}), "write short": ("short", {0}), "fsync": (errno.EIO, {0, 1}), "close": (errno.EIO, {0, 1}),
    "fchmod": (errno.EPERM, {1}), "rename": (errno.EIO, {1}), "renameat2": (errno.EIO, {0, 1}),
    "renameat2 no": (errno.EINVAL, {0}), "renameat2 forbidden": (errno.EPERM, {0}), "link": (errno.EIO, {0, 1}), "madvise": (errno.EINVAL, {0}), "getrandom": (errno.ENOSYS, {0}),
    "pthread_create": (errno.EAGAIN, {0}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Inputs, and outputs of earlier runs."""
    path = tmp_path_factory.mktemp("faults")
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"], name="one", pads=[1] * 4),
             helper.make_node("Sigmoid", ["a"], ["s"]), helper.make_node("Mul", ["a", "s"], ["m"]),
             helper.make_node("Conv", ["m", "v", "b"], ["y"], name="two")]
    model = make_model(nodes, [tensor("w", 32, 3, 3, 3), tensor("v", 16, 32, 3, 3), tensor("b", 16)],
                       outputs=[value("y", 1, 16, 4, 4)])
    onnx.save(model, path / "in.onnx")
    onnx.save(model, path / "apart.onnx", save_as_external_data=True, location="apart.onnx.data", size_threshold=0)
    (path / "sens.json").write_text('{"one": 3, "two": 1}')
    (path / "names").write_text("three*\n")
    spread = {"m|lo": np.zeros(32, np.float32), "m|hi": np.ones(32, np.float32), "m|hist": np.ones((32, 4), np.uint32)}
    save_file({"w|mu": np.ones(27, np.float32), "w|H": np.eye(27, dtype=np.float32) + 1, **spread},
              path / "stats.safetensors", {"images": "1"})
    for name in ("pair", OLD.removesuffix(".onnx")):
        subprocess.run([INT4Q, "rewrite", "apart.onnx", "-qo", f"{name}.onnx", "--method", "squant"], cwd=path, check=True)
    shutil.copy(path / OLD, path / "out.onnx")
    shutil.copy(path / "in.onnx", path / "half.onnx")  # has no data file so far
    return path


def contents(folder):
    return {name: (folder / name).read_bytes() for name in os.listdir(folder)}


def run_once(folder, name, fault, work, *more):
    """One run in a fresh copy; returns the finished process, files afterwards, whether the fault came, blocks left."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(folder, work)
    if name not in ("replace", "streams"):
        (work / "out.onnx").unlink()
    before, log = contents(work), str(work) + ".log"
    environment = {**os.environ, "LD_PRELOAD": LIBRARY, "INT4Q_FAULT": fault, "INT4Q_FAULT_LOG": log}
    with open(work / "in.onnx", "rb") as source:
        done = subprocess.run([INT4Q, *COMMANDS[name], *more, "--no-sandbox"], cwd=work, env=environment, stdin=source, capture_output=True, check=False)
    after = contents(work)
    if not os.path.exists(log):  # _exit
        return done, before, after, True, 0
    with open(log, encoding="utf-8") as file:
        fired, blocks = file.read().split()
    os.unlink(log)
    return done, before, after, fired == "fired", int(blocks)


def check(name, fault, sound, result):
    done, before, after, _, blocks = result
    good, _, wanted, _, sound_blocks = sound
    how = f"{name}: {fault}: status {done.returncode}: {done.stderr.decode()}"
    assert done.returncode >= 0, how
    assert not [f for f in after if f.endswith(".tmp")], f"{how}: {sorted(after)}"
    assert blocks <= sound_blocks, f"{how}: {blocks - sound_blocks} blocks leaked"
    if done.returncode == good.returncode:
        assert after == wanted and (done.stdout == good.stdout), how
        return
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1 and lines[0].startswith("int4q: "), how
    if "truncate" in fault:  # that file is lost, but not by int4q
        before, wanted = ({f: c for f, c in files.items() if after.get(f) != b""} for files in (before, wanted))
    outputs = set(wanted) - {f for f in before if before[f] == wanted[f]}
    for file in set(before) - outputs:
        assert after[file] == before[file], f"{how}: {file}"
    states = [before, wanted]
    if "report.json" in outputs:  # comes after the model
        states.append({f: c for f, c in wanted.items() if f != "report.json"})
    now = {f: after[f] for f in outputs if f in after}
    assert now in [{f: s[f] for f in outputs if f in s} for s in states], f"{how}: {sorted(now)}"


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", COMMANDS)
def test_fault(folder, tmp_path, name, fault):
    error, statuses = FAULTS[fault]
    sound = run_once(folder, name, "", tmp_path / "work")
    assert sound[0].returncode == 0, sound[0].stderr
    for n in range(1, 2000):
        spec = f"{fault.split()[0]}:{n}:{error}"
        result = run_once(folder, name, spec, tmp_path / "work")
        check(name, spec, sound, result)
        if not result[3]:
            return
        assert result[0].returncode in statuses, f"{name}: {spec}: status {result[0].returncode}: {result[0].stderr.decode()}"
    pytest.fail("it never ends")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ["squant", "calibrated"])
def test_one_thread_is_one(folder, tmp_path, name, threads):
    """With -j 1 no other is started, whatever there is to be ranked, fitted or propagated."""
    done, _, _, started, _ = run_once(folder, name, f"pthread_create:1:{errno.EAGAIN}", tmp_path / "work", f"-j{threads}")
    assert done.returncode == 0 and started == (threads > 1), done.stderr
