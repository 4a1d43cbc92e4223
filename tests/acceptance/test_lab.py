# SPDX-License-Identifier: Apache-2.0
"""int4q-lab, and what pyproject.toml says of the package."""
import os
import re
import subprocess
import sys
import tomllib

import pytest
from helpers import ROOT

from int4q.lab import main as lab
from int4q.lab.base import progress

LAB = os.path.join(ROOT, "scripts", "int4q-lab")


def call(*args, **more):
    return subprocess.run([sys.executable, LAB, *args], capture_output=True, text=True, check=False, **more)


def test_usage():
    """Lists each command with a line, those for developers of int4q not; no command is a mistake."""
    done = call("--help")
    listed = dict(re.findall(r"^    ([a-z0-9-]+) +(\S.*)$", done.stdout.split("Commands:")[1], re.MULTILINE))
    assert done.returncode == 0 and {"calibrate", "eval-coco", "make-schemes", "run-schemes"} <= set(listed)
    assert "bench" not in listed and "bench" in lab.known_commands()
    assert {lab.module_of(name) for name in listed} == {lab.module_of(n) for n in lab.known_commands()} - lab.FOR_DEVELOPERS
    assert call().returncode == 2 and call().stdout == done.stdout
    done = call("no-such")
    assert done.returncode == 2 and done.stderr == "int4q-lab: unknown command 'no-such'; int4q-lab --help lists them\n"
    assert call("calibrat").stderr == "int4q-lab: unknown command 'calibrat': did you mean 'calibrate'?\n"


def test_commands(tmp_path):
    """A command by its name, from wherever it is called; its help and its errors say how it was called."""
    done = call("make-yolov10", "--help", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.startswith("usage: int4q-lab make-yolov10 ")
    done = call("smoke-run", tmp_path / "none.onnx", cwd=tmp_path, env={**os.environ, "INT4Q": "no-such-program"})
    assert done.returncode == 1 and done.stderr == "int4q-lab smoke-run: no-such-program: no such program\n"
    done = subprocess.run([sys.executable, "-m", "int4q.lab", "no-such"], capture_output=True, text=True, check=False, cwd=tmp_path,
                          env={**os.environ, "PYTHONPATH": os.path.join(ROOT, "scripts")})
    assert done.returncode == 2


def test_missing_packages(tmp_path):
    """Where Python has none of them, a line that says what to do, for all ways to call; the list needs none."""
    for command in ([LAB, "calibrate"], [os.path.join(ROOT, "scripts", "calibrate.py")]):
        done = subprocess.run([sys.executable, "-S", *command], capture_output=True, text=True, check=False)
        said = done.stderr.splitlines()
        assert done.returncode == 1 and len(said) == 1 and ": the Python package " in said[0] and ".venv/bin/activate" in said[0]
    assert subprocess.run([sys.executable, "-S", LAB, "--help"], check=False, stdout=subprocess.DEVNULL).returncode == 0


def test_progress_without_a_terminal(monkeypatch, capsys):
    """A line now and then, each of its own; nothing of what is over before the first is due."""
    list(progress.progress(range(3), "model", desc="check"))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "SECONDS", 1e-9)
    list(progress.progress(range(3), "model", desc="check"))
    said = capsys.readouterr().err
    assert re.search(r"^check 3 of 3 models, 00:00 so far", said, re.MULTILINE) and "\r" not in said
    assert len(said.splitlines()) == len(set(said.splitlines()))


def test_processors():
    """As many as the process may use, not as the machine has."""
    ask = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); from int4q.lab.base.workers import processors; print(processors())"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True,
                          env={**os.environ, "PYTHONPATH": os.path.join(ROOT, "scripts")})
    assert done.stdout == "1\n"


@pytest.fixture(name="project", scope="module")
def fixture_project():
    with open(os.path.join(ROOT, "pyproject.toml"), "rb") as file:
        return tomllib.load(file)


def version(text):
    return tuple(int(part) for part in re.findall(r"\d+", text))


def test_extras(project):
    """What the tests use is what the extras ask for, and not older; what only the tests need is not in them."""
    for extra, name, apart in (("lab", "requirements.txt", {"pytest", "jsonschema"}), ("export", "requirements-export.txt", set())):
        with open(os.path.join(ROOT, "scripts", name), encoding="utf-8") as file:
            pinned = dict(line.split("==") for line in map(str.strip, file) if "==" in line)
        wanted = dict(line.split(">=") for line in project["project"]["optional-dependencies"][extra] if ">=" in line)
        assert set(wanted) == set(pinned) - apart
        assert all(version(pinned[package]) >= version(wanted[package]) for package in wanted)


def test_version(project):
    """It stands in CMakeLists.txt alone."""
    setting = project["tool"]["dynamic-metadata"][0]
    with open(os.path.join(ROOT, setting["input"]), encoding="utf-8") as file:
        found = re.search(setting["regex"], file.read())
    assert found and re.fullmatch(r"\d+\.\d+\.\d+", found["value"]) and "version" in project["project"]["dynamic"]
