# SPDX-License-Identifier: Apache-2.0
"""Where things lie: in a checkout beside the scripts, else below the current folder."""
import os

PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPTS = os.path.dirname(PACKAGE)
_parent = os.path.dirname(SCRIPTS)
ROOT = _parent if os.path.exists(os.path.join(_parent, "CMakeLists.txt")) else os.getcwd()
TMP = os.path.join(ROOT, "tmp")
