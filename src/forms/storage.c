// SPDX-License-Identifier: Apache-2.0
#include "forms/storage.h"

#include "onnx/dtype.h"

static const char OTHER[] = "other";

struct i4q_storage i4q_storage_unknown(void)
{
    return (struct i4q_storage){.name = OTHER};
}

const char *i4q_granularity_name(enum i4q_granularity granularity)
{
    static const char *const names[] = {
        [I4Q_PER_TENSOR] = "per-tensor", [I4Q_PER_CHANNEL] = "per-channel", [I4Q_BLOCK] = "block"};
    return names[granularity];
}

void i4q_storage_set_type(struct i4q_storage *storage, int32_t type)
{
    const struct i4q_dtype *dtype = i4q_dtype_find(type);
    storage->name = dtype && dtype->word ? dtype->word : OTHER;
    storage->is_float = dtype && dtype->kind == I4Q_DTYPE_FLOAT;
}
