# SPDX-License-Identifier: Apache-2.0
"""int4q in Python: `int4q.lab` holds the experiments around the tool."""
