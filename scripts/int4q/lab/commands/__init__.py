# SPDX-License-Identifier: Apache-2.0
"""One module a command of scripts/: its options and its main function. No command imports another."""
