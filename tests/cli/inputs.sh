#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
. "$TESTS/functions.sh"
# Initializers that are listed as inputs leave the list.
model good-inputs-listed
int4q rewrite good-inputs-listed.onnx
