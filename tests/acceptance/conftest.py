# SPDX-License-Identifier: Apache-2.0
import pytest


@pytest.fixture(name="cluster")
def fixture_cluster(tmp_path):
    """Dask's processes, killed in the end."""
    from cluster import Cluster  # takes a second, and few tests need it
    made = Cluster(tmp_path)
    yield made
    made.stop()
