# SPDX-License-Identifier: Apache-2.0
"""Experiments with quantized detectors: calibration, sensitivities, evaluation, pages. The commands are in `commands`."""
