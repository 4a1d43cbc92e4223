# SPDX-License-Identifier: Apache-2.0
"""What the documentation names is there: files, and for every promise of docs/trust.md a test that ctest runs."""
import glob
import os
import re
import shlex
import subprocess
import sys

import pytest
from helpers import INT4Q, ROOT

PAGES = ["README.md", "CONTRIBUTING.md", *(os.path.relpath(p, ROOT) for p in glob.glob(os.path.join(ROOT, "docs", "*.md")))]
FOLDERS = ("docs", "examples", "include", "scripts", "src", "tests")


def read(page):
    with open(os.path.join(ROOT, page), encoding="utf-8") as file:
        return file.read()


@pytest.mark.parametrize("page", PAGES)
def test_named_files_are_there(page):
    named = re.findall(rf"(?<![\w/])(?:{'|'.join(FOLDERS)})/[\w./-]*\w", read(page))
    missing = [n for n in named if "NAME" not in n and "test_x" not in n and "/x." not in n
               and not os.path.exists(os.path.join(ROOT, n))]
    assert not missing, f"{page} names {missing}"


def runs(test):
    """Whether ctest runs that file: all are found by their place, but fuzz targets, which are listed."""
    if not test.startswith("tests/fuzz/"):
        return os.path.exists(os.path.join(ROOT, test))
    return os.path.basename(test).removesuffix(".c") in re.split(r"[\s()]+", read("tests/fuzz/CMakeLists.txt"))


def test_every_promise_names_its_test():
    promises, limits = read("docs/trust.md").split("## What holds for any input")[1].split("## What is not")[0].split("## Limits")
    claims = [(p, p[p.rindex("["):]) for p in promises.split("\n- ")[1:]]
    claims += [(row, row.split("|")[3]) for row in limits.strip().splitlines()[2:]]
    assert len(claims) > 30
    for claim, citation in claims:
        cited = re.findall(r"`(tests/[\w./]+)`", citation)
        assert cited, f"no test named: {claim}"
        assert not [test for test in cited if not runs(test)], claim


def transcripts(page):
    """(command, what it is said to print, as pieces that follow each other) of every `$ int4q` in the page."""
    for block in re.findall(r"^```\n(\$ int4q.*?)^```", read(page), re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, shown = part.split("\n", 1)
            yield command, [piece.strip("\n") for piece in re.split(r"^\.\.\.\n", shown, flags=re.MULTILINE)]


def test_transcripts_are_what_is_printed(tmp_path):
    """All that the tool says, its warnings included, but for what stands for `...`."""
    subprocess.run([sys.executable, os.path.join(ROOT, "scripts", "make_yolov10.py"), "-o", tmp_path / "yolov10m.onnx"], check=True,
                   stdout=subprocess.DEVNULL)
    found = list(transcripts("README.md"))
    assert len(found) >= 2
    for command, pieces in found:
        done = subprocess.run([INT4Q, *shlex.split(command)[1:]], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=True)
        printed = done.stdout.strip("\n")
        assert printed.startswith(pieces[0]) and printed.endswith(pieces[-1]), command
        places = [printed.find(piece) for piece in pieces if piece]
        assert -1 not in places and places == sorted(places), command


def test_the_readme_is_a_first_look():
    """What there is to look up goes to docs/reference.md."""
    assert len(read("README.md").splitlines()) <= 115


def anchors(page):
    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", read(page), flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    """To files, and to headings of pages."""
    for link in re.findall(r"\]\(([^)\s]+)\)", read(page)):
        if "://" in link:
            continue
        path, _, heading = link.partition("#")
        target = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
        assert os.path.exists(os.path.join(ROOT, target)), f"{page}: {link}"
        assert not heading or heading in anchors(target), f"{page}: {link}"
