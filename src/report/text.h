// SPDX-License-Identifier: Apache-2.0
/* Pieces of the tables that people read: names masked and cut to a width, shapes as 48x3x3x3. */
#ifndef INT4Q_REPORT_TEXT_H
#define INT4Q_REPORT_TEXT_H

#include "forms/storage.h"
#include "onnx/layers.h"

enum {
    I4Q_TEXT_NAME = 256, /* bytes of a masked name, the terminator included; longer ones are cut */
    I4Q_TEXT_SHAPE = 128,
    I4Q_TEXT_MAX_NAME = 72, /* most characters of a column of names */
};

/* `text` with control characters masked, in `buffer`, which is also returned. */
const char *i4q_text_mask(const char *text, char buffer[static I4Q_TEXT_NAME]);

/* The label of the Conv's node, and its operator where that is a foreign one, masked. */
const char *i4q_text_name(const struct i4q_conv *conv, char buffer[static I4Q_TEXT_NAME]);

/* "48x3x3x3", or "-" when the shape is not known. */
const char *i4q_text_shape(const struct i4q_storage *storage, char buffer[static I4Q_TEXT_SHAPE]);

#endif
