# SPDX-License-Identifier: Apache-2.0
"""Names of types that many modules share."""
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]  # of any element type
Size = tuple[int, int]  # (height, width)
Feeds = dict[str, Array]  # {input: array}
Row = dict[str, Any]  # of a table, or an object of a JSON file
