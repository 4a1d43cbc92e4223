# SPDX-License-Identifier: Apache-2.0
"""Object detectors: families, pictures, heads, and how good what they find is."""

