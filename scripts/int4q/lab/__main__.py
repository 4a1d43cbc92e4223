# SPDX-License-Identifier: Apache-2.0
"""python -m int4q.lab is int4q-lab."""
import sys

from int4q.lab.main import main

if __name__ == "__main__":
    sys.exit(main())
