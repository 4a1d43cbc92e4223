# SPDX-License-Identifier: Apache-2.0
"""The moments of all Convs of a model, over all that it is fed with."""
from collections.abc import Sequence

from int4q.lab.base.progress import progress
from int4q.lab.calibration.convs import Readers
from int4q.lab.calibration.feeds import Feed, Look
from int4q.lab.calibration.moments import Moments
from int4q.lab.calibration.patches import Conv
from int4q.lab.calibration.taps import Taps


def measure(convs: Sequence[Readers], taps: Taps, feeds: Sequence[Feed], look: Look | None = None,
            mean_only: bool = False) -> tuple[dict[str, Moments], int]:
    """{weight: Moments} over all feeds, a list of functions that return {input: array}; and the number of images.

    `look` gives the function that weighs positions (attention.weigher) for an input.
    """
    images = 0
    seen = {conv: Moments() for conv, _ in convs}
    for make in progress(feeds, "image"):
        given = make()
        weigh = look(given) if look else None
        images += len(next(iter(given.values())))
        for part, values in taps.runs(given):
            for conv, _ in part:
                seen[conv].add(conv, values[conv.source], mean_only, weigh)
    return join_weights(convs, seen), images


def join_weights(convs: Sequence[Readers], seen: dict[Conv, Moments]) -> dict[str, Moments]:
    """{weight: Moments}: those of all the nodes that use it."""
    found: dict[str, Moments] = {}
    for conv, names in convs:
        for name in names:
            found.setdefault(name, Moments()).join(seen[conv])
    return found
