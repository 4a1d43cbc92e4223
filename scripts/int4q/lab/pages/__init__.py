# SPDX-License-Identifier: Apache-2.0
"""Plots and pages that need nothing else."""

