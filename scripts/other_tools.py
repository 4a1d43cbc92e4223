#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command; what it does is in int4q/lab/commands/other_tools.py, and --help tells."""
import sys

from int4q.lab.commands.other_tools import main

if __name__ == "__main__":
    sys.exit(main())
