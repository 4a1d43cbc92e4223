# SPDX-License-Identifier: Apache-2.0
"""What a result was made with and of: told in it, and the reason not to make the same result again."""
import os
from collections.abc import Mapping, Sequence

from int4q.lab.base.files import file_sha256
from int4q.lab.base.types import Row


def stamp(options: Row, files: Sequence[str], versions: Mapping[str, str]) -> Row:
    """Of a result that these options, bytes of files and versions decide; without paths, so that it may be given away."""
    return {"options": options, "files": [[os.path.basename(path), file_sha256(path)] for path in files],
            "versions": dict(versions)}
