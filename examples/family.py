# SPDX-License-Identifier: Apache-2.0
"""A family of detectors that int4q does not know, for --family family.py:SIMPLE of the scripts.

SIMPLE is for models with one output [1, anchors, 4 + classes]: x1, y1, x2, y2 as parts of the input's sides, and a
probability of each class.  `decode` gets the outputs of one run, the size (H, W) of the input, and some facts of the graph
that it may leave aside; it returns the boxes float64 [anchors, 4] in pixels of the input, and the probabilities float64
[anchors, classes].  What pictures are made into stands in the fields of Family (int4q/lab/detection/family.py).
"""
import numpy as np

from int4q.lab.detection.family import Family


def decode(outputs, size, _facts):
    rows = outputs[0][0].astype(np.float64)
    height, width = size
    return rows[:, :4] * [width, height, width, height], rows[:, 4:]


SIMPLE = Family("boxes in 0..1, letterboxed RGB", decode, overlap=0.6)
