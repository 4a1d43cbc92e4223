// SPDX-License-Identifier: Apache-2.0
#include "onnx/save.h"

#include "base/utf8.h"
#include "platform/identity.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Offsets should suit mappings (ONNX, external data: 4096); what is smaller than a page gets by with less. */
enum { PAGE = 4096, SMALL_ALIGNMENT = 16 };

static const char AUTO[] = "auto", INLINE[] = "inline";

struct layouter {
    struct i4q_model *model;
    const char *path, *external;
    struct i4q_layout *layout;
    struct i4q_error *error;
};

static bool collect(void *context, Onnx__TensorProto *tensor)
{
    struct layouter *layouter = context;
    return tensor->data_location != ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL ||
           i4q_list_add(&layouter->model->arena, &layouter->layout->tensors, tensor) ||
           i4q_fail_memory(layouter->error);
}

static bool add_entry(struct i4q_model *model, Onnx__TensorProto *tensor, const char *key, const char *value)
{
    Onnx__StringStringEntryProto *entry = i4q_arena_alloc(&model->arena, 1, sizeof *entry);
    if (!entry || !value)
        return false;
    onnx__string_string_entry_proto__init(entry);
    entry->key = (char *)key;
    entry->value = (char *)value;
    tensor->external_data[tensor->n_external_data++] = entry;
    return true;
}

/* The payload leaves the message, but `raw_data` goes on pointing at it. */
static bool point_at(struct i4q_model *model, Onnx__TensorProto *tensor, const char *location,
                     uint64_t offset)
{
    struct i4q_arena *arena = &model->arena;
    if (!i4q_edit_open(model, &tensor->base))
        return false;
    tensor->n_external_data = 0;
    tensor->external_data = i4q_arena_alloc(arena, 3, sizeof *tensor->external_data);
    tensor->has_raw_data = false;
    return tensor->external_data && add_entry(model, tensor, "location", location) &&
           add_entry(model, tensor, "offset", i4q_arena_format(arena, "%" PRIu64, offset)) &&
           add_entry(model, tensor, "length", i4q_arena_format(arena, "%zu", tensor->raw_data.len));
}

static bool place_tensors(struct i4q_model *model, const char *location, struct i4q_layout *layout)
{
    uint64_t end = 0;
    layout->offsets = i4q_arena_alloc(&model->arena, layout->tensors.count, sizeof *layout->offsets);
    for (size_t i = 0; layout->offsets && i < layout->tensors.count; i++) {
        Onnx__TensorProto *tensor = layout->tensors.items[i];
        uint64_t alignment = tensor->raw_data.len < PAGE ? SMALL_ALIGNMENT : PAGE;
        layout->offsets[i] = end = (end + alignment - 1) / alignment * alignment;
        end += tensor->raw_data.len;
        if (!point_at(model, tensor, location, layout->offsets[i]))
            return false;
    }
    layout->data_bytes = end;
    return layout->offsets != NULL;
}

const char *i4q_layout_word(size_t index)
{
    const char *const words[] = {AUTO, INLINE};
    return index < sizeof words / sizeof *words ? words[index] : NULL;
}

bool i4q_layout_data_path(struct i4q_arena *arena, const char *path, const char *external, char **data_path)
{
    const char *slash = strrchr(path, '/');
    *data_path = NULL;
    if (strcmp(path, "-") == 0 || strcmp(external, INLINE) == 0)
        return true;
    if (strcmp(external, AUTO) == 0)
        *data_path = i4q_arena_format(arena, "%s.data", path);
    else
        *data_path = i4q_arena_format(arena, "%.*s%s", slash ? (int)(slash + 1 - path) : 0, path, external);
    return *data_path != NULL;
}

/* Whether there can be two files that need each other: what is written to as it is is one. */
static bool check_files(const struct layouter *layouter)
{
    const char *path = layouter->path;
    if (strcmp(path, "-") == 0)
        return i4q_fail(layouter->error, I4Q_USAGE,
                        "a model with external data cannot go to standard output");
    return !i4q_is_special(path) ||
           i4q_fail(layouter->error, I4Q_USAGE,
                    "a model with external data cannot go to '%s', which is no regular file", path);
}

/* The model names its data file without the directory. */
static bool place(struct layouter *layouter)
{
    struct i4q_layout *layout = layouter->layout;
    char *path;
    if (!i4q_layout_data_path(&layouter->model->arena, layouter->path, layouter->external, &path))
        return i4q_fail_memory(layouter->error);
    if (!path)
        return true; /* inline: nothing is external then */
    const char *slash = strrchr(path, '/');
    layout->data_path = path;
    if (i4q_is_special(path))
        return i4q_fail(layouter->error, I4Q_USAGE, "its data file '%s' is no regular file", path);
    if (!i4q_utf8_is_valid(slash ? slash + 1 : path))
        return i4q_fail(layouter->error, I4Q_USAGE, "the name of its data file '%s' is not UTF-8", path);
    return place_tensors(layouter->model, slash ? slash + 1 : path, layout) ||
           i4q_fail_memory(layouter->error);
}

static bool move_in(void *context, Onnx__TensorProto *tensor)
{
    struct layouter *layouter = context;
    if (tensor->data_location != ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL)
        return true;
    if (!i4q_edit_open(layouter->model, &tensor->base))
        return i4q_fail_memory(layouter->error);
    tensor->has_data_location = false;
    tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT;
    tensor->n_external_data = 0;
    tensor->has_raw_data = true;
    return true;
}

static bool move_out(void *context, Onnx__TensorProto *tensor)
{
    struct layouter *layouter = context;
    if (!tensor->has_raw_data || tensor->raw_data.len < I4Q_EXTERNAL_THRESHOLD)
        return true;
    if (!i4q_edit_open(layouter->model, &tensor->base))
        return i4q_fail_memory(layouter->error);
    tensor->has_data_location = true;
    tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    return true;
}

/* ---- all together */

static bool lay_out(struct layouter *layouter)
{
    struct i4q_layout *layout = layouter->layout;
    *layout = (struct i4q_layout){0};
    if (!i4q_model_each_tensor(layouter->model, collect, layouter))
        return false;
    if (layout->tensors.count && (!check_files(layouter) || !place(layouter)))
        return false;
    layout->model_bytes = onnx__model_proto__get_packed_size(layouter->model->proto);
    return true;
}

bool i4q_layout_check(const char *path, const char *external, struct i4q_error *error)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (!*external || strchr(external, '/') || strcmp(external, ".") == 0 || strcmp(external, "..") == 0 ||
        strcmp(external, name) == 0 || !i4q_utf8_is_valid(external))
        return i4q_fail(error, I4Q_USAGE,
                        "--external-data: '%s' is not auto, inline or the name of a file beside the output",
                        external);
    return true;
}

bool i4q_layout_make(struct i4q_model *model, const char *path, const char *external,
                     struct i4q_layout *layout, struct i4q_error *error)
{
    struct layouter layouter = {model, path, external, layout, error};
    bool is_auto = strcmp(external, AUTO) == 0, is_inline = strcmp(external, INLINE) == 0;
    if (!is_auto && !i4q_model_each_tensor(model, is_inline ? move_in : move_out, &layouter))
        return false;
    if (!lay_out(&layouter))
        return false;
    if (is_auto && layout->model_bytes > INT32_MAX &&
        (!i4q_model_each_tensor(model, move_out, &layouter) || !lay_out(&layouter)))
        return false;
    return layout->model_bytes <= INT32_MAX ||
           i4q_fail(error, I4Q_MODEL, "the result has %zu bytes, more than the 2 GiB of a protobuf message",
                    layout->model_bytes);
}

size_t i4q_layout_bytes(const struct i4q_layout *layout)
{
    return layout->model_bytes + (size_t)layout->data_bytes;
}

static void release(void *model, size_t bytes)
{
    i4q_model_release(model, bytes);
}

static void send(struct i4q_model *model, struct i4q_output *output)
{
    output->sent = release;
    output->context = model;
}

static void write_data(struct i4q_model *model, const struct i4q_layout *layout, struct i4q_output *data)
{
    static const uint8_t zeros[PAGE];
    send(model, data);
    for (size_t i = 0; i < layout->tensors.count; i++) {
        const Onnx__TensorProto *tensor = layout->tensors.items[i];
        i4q_output_append(data, zeros, (size_t)(layout->offsets[i] - data->total));
        i4q_output_append(data, tensor->raw_data.data, tensor->raw_data.len);
    }
}

/* An output as protobuf-c writes to it. */
struct sink {
    ProtobufCBuffer base;
    struct i4q_output *output;
};

static void append(ProtobufCBuffer *base, size_t size, const uint8_t *data)
{
    i4q_output_append(((struct sink *)base)->output, data, size);
}

static void write_model(struct i4q_model *model, struct i4q_output *output)
{
    struct sink sink = {{append}, output};
    send(model, output);
    onnx__model_proto__pack_to_buffer(model->proto, &sink.base);
}

bool i4q_layout_write(struct i4q_model *model, const struct i4q_layout *layout, struct i4q_output *output,
                      struct i4q_error *error)
{
    struct i4q_output data;
    if (!layout->tensors.count) {
        write_model(model, output);
        return i4q_output_commit(output, error);
    }
    if (!i4q_output_open_beside(&data, layout->data_path, output, error)) {
        error->file = layout->data_path;
        return false;
    }
    write_data(model, layout, &data);
    write_model(model, output);
    return i4q_output_commit_both(&data, output, error);
}
