# SPDX-License-Identifier: Apache-2.0
"""What the Convs of a model see, and the file that tells the tool."""

