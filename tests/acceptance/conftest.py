# SPDX-License-Identifier: Apache-2.0
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture(name="cluster")
def fixture_cluster(tmp_path):
    """Dask's processes, killed in the end."""
    from cluster import Cluster  # takes a second, and few tests need it
    made = Cluster(tmp_path)
    yield made
    made.stop()
