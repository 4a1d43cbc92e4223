# SPDX-License-Identifier: Apache-2.0
"""What the commands of the experiment loop do, beyond one model."""

