#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
. "$TESTS/functions.sh"
# Help and version go to standard output.
int4q --version | head -1
int4q --help
int4q rewrite --help
int4q inspect --help
