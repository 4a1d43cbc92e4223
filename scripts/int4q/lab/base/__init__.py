# SPDX-License-Identifier: Apache-2.0
"""What every module may use: errors, files, the tool, tables, workers."""

