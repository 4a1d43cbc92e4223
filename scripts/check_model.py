#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Check ONNX models: onnx.checker with shape inference, then one run in ONNX Runtime on the CPU.

    check_model.py MODEL.onnx ...

The input is random from a fixed seed; a symbolic dimension becomes 1.  Exit status 1 when a model fails.
"""
import sys
import time

import numpy as np
import onnx
import onnxruntime

TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64,
         "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(uint8)": np.uint8, "tensor(bool)": bool}


def random_inputs(session):
    random = np.random.default_rng(0)
    return {i.name: random.random([d if isinstance(d, int) else 1 for d in i.shape]).astype(TYPES[i.type])
            for i in session.get_inputs()}


def check(path):
    onnx.checker.check_model(path, full_check=True)
    print(f"{path}: onnx.checker: ok")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs = random_inputs(session)
    start = time.perf_counter()
    outputs = session.run(None, inputs)
    seconds = time.perf_counter() - start
    shapes = ", ".join(f"{o.name} {list(v.shape)}" for o, v in zip(session.get_outputs(), outputs))
    print(f"{path}: ONNX Runtime {onnxruntime.__version__}: {shapes} in {seconds * 1000:.0f} ms (first run)")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    failed = False
    for path in sys.argv[1:]:
        try:
            check(path)
        except Exception as error:  # the two packages raise classes of their own
            print(f"{path}: {' '.join(str(error).split())}", file=sys.stderr)
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
