# SPDX-License-Identifier: Apache-2.0
"""What the documentation names is there: files, and for every promise of docs/trust.md a test that ctest runs."""
import glob
import os
import re

import pytest
from helpers import ROOT

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
