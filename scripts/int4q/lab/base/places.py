# SPDX-License-Identifier: Apache-2.0
"""Where results go: below the checkout that this package lies in, else below the current folder."""
import os

from int4q.installation import checkout

ROOT = str(checkout() or os.getcwd())
TMP = os.path.join(ROOT, "tmp")
