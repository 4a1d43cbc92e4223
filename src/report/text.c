// SPDX-License-Identifier: Apache-2.0
#include "report/text.h"

#include "platform/terminal.h"

#include <inttypes.h>
#include <stdio.h>

const char *i4q_text_mask(const char *text, char buffer[static I4Q_TEXT_NAME])
{
    snprintf(buffer, I4Q_TEXT_NAME, "%s", text);
    return i4q_mask_control(buffer);
}

const char *i4q_text_name(const struct i4q_conv *conv, char buffer[static I4Q_TEXT_NAME])
{
    char op[I4Q_TEXT_NAME];
    const char *label = i4q_node_label(conv->node->proto);
    if (!conv->op->is_foreign)
        return i4q_text_mask(label, buffer);
    snprintf(buffer, I4Q_TEXT_NAME, "%s (%s)", label, i4q_conv_op_name(conv, op, sizeof op));
    return i4q_mask_control(buffer);
}

const char *i4q_text_shape(const struct i4q_storage *storage, char buffer[static I4Q_TEXT_SHAPE])
{
    size_t length = 0;
    snprintf(buffer, I4Q_TEXT_SHAPE, "-");
    for (size_t i = 0; i < storage->rank && length < I4Q_TEXT_SHAPE; i++)
        length += (size_t)snprintf(buffer + length, I4Q_TEXT_SHAPE - length, "%s%" PRId64, i ? "x" : "",
                                   storage->dims[i]);
    return buffer;
}
