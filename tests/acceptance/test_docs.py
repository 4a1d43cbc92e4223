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


def test_every_promise_names_its_test():
    promises = read("docs/trust.md").split("## What holds for any input")[1].split("## Limits")[0].split("\n- ")[1:]
    assert len(promises) > 10
    for promise in promises:
        cited = re.findall(r"`(tests/[\w./]+)`", promise[promise.rindex("["):])
        assert cited, f"no test named: {promise}"
