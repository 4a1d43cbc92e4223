// SPDX-License-Identifier: Apache-2.0
#include "onnx/save.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

/* The data file lies beside the model, which names it without its directory. */
static bool place(struct layouter *layouter)
{
    struct i4q_arena *arena = &layouter->model->arena;
    const char *slash = strrchr(layouter->path, '/'), *name = slash ? slash + 1 : layouter->path;
    int directory = (int)(name - layouter->path);
    bool is_named = strcmp(layouter->external, AUTO) != 0;
    char *data_name =
        i4q_arena_format(arena, is_named ? "%s" : "%s.data", is_named ? layouter->external : name);
    char *data_path =
        data_name ? i4q_arena_format(arena, "%.*s%s", directory, layouter->path, data_name) : NULL;
    if (!data_path || !place_tensors(layouter->model, data_name, layouter->layout))
        return i4q_fail_memory(layouter->error);
    layouter->layout->data_path = data_path;
    return true;
}

static bool move_in(void *context, Onnx__TensorProto *tensor)
{
    (void)context;
    if (tensor->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL) {
        tensor->has_data_location = false;
        tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT;
        tensor->n_external_data = 0;
        tensor->has_raw_data = true;
    }
    return true;
}

static bool move_out(void *context, Onnx__TensorProto *tensor)
{
    (void)context;
    if (tensor->has_raw_data && tensor->raw_data.len >= I4Q_EXTERNAL_THRESHOLD) {
        tensor->has_data_location = true;
        tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    }
    return true;
}

/* ---- what the model is read from */

static bool is_file(const char *path, dev_t device, ino_t inode)
{
    struct stat status;
    return path && stat(path, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

static bool is_model(const struct layouter *layouter, const char *path)
{
    struct stat status;
    return stat(layouter->model->path, &status) == 0 && is_file(path, status.st_dev, status.st_ino);
}

/* A file from which the model, or its data, was read may be replaced only with the model itself, which would
 * be lost otherwise. */
static bool check_sources(const struct layouter *layouter)
{
    const struct i4q_external *external = &layouter->model->external;
    const char *const targets[] = {layouter->path, layouter->layout->data_path};
    if (is_model(layouter, layouter->path))
        return true;
    for (size_t t = 0; t < 2; t++) {
        bool holds = targets[t] && is_model(layouter, targets[t]);
        for (size_t i = 0; targets[t] && i < external->n_files; i++)
            holds |= is_file(targets[t], external->files[i].device, external->files[i].inode);
        if (holds)
            return i4q_fail(layouter->error, I4Q_FAILED,
                            "'%s' is a file of the input, which would be lost; choose another name",
                            targets[t]);
    }
    return true;
}

/* ---- all together */

static bool lay_out(struct layouter *layouter)
{
    struct i4q_layout *layout = layouter->layout;
    *layout = (struct i4q_layout){0};
    if (!i4q_model_each_tensor(layouter->model, collect, layouter))
        return false;
    if (layout->tensors.count && strcmp(layouter->path, "-") == 0)
        return i4q_fail(layouter->error, I4Q_USAGE,
                        "a model with external data cannot go to standard output");
    if (layout->tensors.count && !place(layouter))
        return false;
    layout->model_bytes = onnx__model_proto__get_packed_size(layouter->model->proto);
    return true;
}

bool i4q_layout_check(const char *path, const char *external, struct i4q_error *error)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (!*external || strchr(external, '/') || strcmp(external, ".") == 0 || strcmp(external, "..") == 0 ||
        strcmp(external, name) == 0)
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
    if (!is_auto && !i4q_model_each_tensor(model, is_inline ? move_in : move_out, NULL))
        return false;
    if (!lay_out(&layouter))
        return false;
    if (is_auto && layout->model_bytes > INT32_MAX &&
        (!i4q_model_each_tensor(model, move_out, NULL) || !lay_out(&layouter)))
        return false;
    if (!check_sources(&layouter))
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

static void write_model(struct i4q_model *model, struct i4q_output *output)
{
    send(model, output);
    onnx__model_proto__pack_to_buffer(model->proto, &output->base);
}

bool i4q_layout_write(struct i4q_model *model, const struct i4q_layout *layout, struct i4q_output *output,
                      struct i4q_error *error)
{
    struct i4q_output data;
    if (!layout->tensors.count) {
        write_model(model, output);
        return i4q_output_commit(output, error);
    }
    if (!i4q_output_open(&data, layout->data_path, output->mode, error)) {
        error->file = layout->data_path;
        return false;
    }
    write_data(model, layout, &data);
    write_model(model, output);
    return i4q_output_commit_both(&data, output, error);
}
