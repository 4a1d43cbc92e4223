# SPDX-License-Identifier: Apache-2.0
import sys

import pytest


@pytest.fixture(autouse=True)
def fixture_no_progress(monkeypatch):
    """Commands that run within a test tell of no progress, however slow the machine: what they say is compared."""
    module = sys.modules.get("int4q.lab.base.progress")  # where a test module has commands
    if module:
        monkeypatch.setattr(module, "SECONDS", 3600)


@pytest.fixture(name="cluster")
def fixture_cluster(tmp_path):
    """Dask's processes, killed in the end."""
    from cluster import Cluster  # takes a second, and few tests need it
    made = Cluster(tmp_path)
    yield made
    made.stop()
