#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command; what it does is in int4q/lab/commands/experiment.py, and --help tells."""
import sys

from int4q.lab.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("experiment"))
