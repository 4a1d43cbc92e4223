# SPDX-License-Identifier: Apache-2.0
"""Models that MNN made of a detector, run by MNN."""
from int4q.lab.base.errors import Error
from int4q.lab.base.types import Array
from int4q.lab.detection.detectors import Detector


class MnnDetector(Detector):
    """What MNN made of the model of another detector, which says all that only an ONNX graph tells."""

    def __init__(self, path: str, origin: Detector, threads: int) -> None:
        self.__setstate__({**origin.__getstate__(), "path": path})
        try:
            from MNN import expr, nn
        except ImportError as error:
            raise Error(f"{path}: the Python package MNN is not installed") from error
        names = [[v.name for v in part] for part in (origin.session.get_inputs(), origin.session.get_outputs())]
        try:
            manager = nn.create_runtime_manager(({"numThread": threads},))
            self.expr, self.module = expr, nn.load_module_from_file(path, *names, runtime_manager=manager)
        except (SystemError, RuntimeError) as error:
            raise Error(f"{path}: MNN: no model with {', '.join(names[0] + names[1])}") from error

    def run(self, values: Array) -> list[Array]:
        found = self.module.forward([self.expr.const(values, list(values.shape), self.expr.NCHW)])
        if not found:
            raise Error(f"{self.path}: MNN cannot run it")
        return [self.expr.convert(value, self.expr.NCHW).read().copy() for value in found]
