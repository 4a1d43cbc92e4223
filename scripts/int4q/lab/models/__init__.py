# SPDX-License-Identifier: Apache-2.0
"""ONNX models: sessions, graphs and parts of them, models made up for tests."""

