// SPDX-License-Identifier: Apache-2.0
/* Where payloads go, what the model says of it, and that they are there when it is loaded again. */
#include "testing.h"

#include "folder.h"
#include "onnx/dtype.h"
#include "onnx/maker.h"
#include "onnx/save.h"

#include <unistd.h>

enum { PAGE = 4096, SMALL = 16 };

static struct maker maker;
static struct i4q_layout layout;

/* Every test runs in an empty directory of its own. */
static int setup(void **state)
{
    maker_open(&maker, 17);
    return folder_enter(state);
}

static int teardown(void **state)
{
    maker_close(&maker);
    return folder_leave(state);
}

/* Tensors of these sizes: too small to move, less than a page, a page and a bit. */
static const size_t SIZES[] = {1023, 1025, 4099, 1024};

enum { TENSORS = sizeof SIZES / sizeof *SIZES };

static void load(void)
{
    uint8_t data[8192];
    for (size_t t = 0; t < TENSORS; t++) {
        const char name[] = {(char)('a' + (char)t), '\0'};
        for (size_t i = 0; i < sizeof data; i++)
            data[i] = (uint8_t)(i * 7 + t);
        maker_bytes(&maker, name, I4Q_TYPE(UINT8), (const int64_t[4]){(int64_t)SIZES[t]}, data);
    }
    maker_load(&maker);
}

static bool make(const char *path, const char *external)
{
    maker.error = (struct i4q_error){0};
    return i4q_layout_make(&maker.model, path, external, &layout, &maker.error);
}

static const char *entry(const Onnx__TensorProto *tensor, const char *key)
{
    for (size_t i = 0; i < tensor->n_external_data; i++)
        if (strcmp(tensor->external_data[i]->key, key) == 0)
            return tensor->external_data[i]->value;
    fail_msg("'%s' has no %s", tensor->name, key);
    return NULL;
}

static void large_tensors_go_to_a_file_of_that_name(void **state)
{
    load();
    assert_true(make("folder/out.onnx", "weights.bin"));
    assert_string_equal(layout.data_path, "folder/weights.bin");
    assert_int_equal(layout.tensors.count, 3);
    const Onnx__TensorProto *a = maker_initializer(&maker, "a"), *b = maker_initializer(&maker, "b"),
                            *c = maker_initializer(&maker, "c"), *d = maker_initializer(&maker, "d");
    assert_true(a->has_raw_data && !a->n_external_data);
    assert_string_equal(entry(b, "location"), "weights.bin"); /* without the directory */
    assert_string_equal(entry(b, "offset"), "0");
    assert_string_equal(entry(b, "length"), "1025");
    assert_string_equal(entry(c, "offset"), "4096"); /* a page has a page */
    assert_string_equal(entry(c, "length"), "4099");
    assert_string_equal(entry(d, "offset"), "8208"); /* 4096 + 4099, and the next 16 */
    assert_int_equal(layout.data_bytes, 8208 + 1024);
    assert_true(!d->has_raw_data && d->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL);
    assert_int_equal(layout.model_bytes, onnx__model_proto__get_packed_size(maker.model.proto));
    assert_int_equal(i4q_layout_bytes(&layout), layout.model_bytes + layout.data_bytes);
}

static void inline_takes_them_back(void **state)
{
    load();
    size_t before = onnx__model_proto__get_packed_size(maker.model.proto);
    assert_true(make("out.onnx", "weights.bin") && layout.model_bytes < before);
    assert_true(make("out.onnx", "inline"));
    assert_int_equal(layout.tensors.count, 0);
    assert_int_equal(layout.data_bytes, 0);
    assert_int_equal(layout.model_bytes, before);
    assert_true(maker_initializer(&maker, "c")->has_raw_data);
}

static void auto_leaves_them_as_the_model_has_them(void **state)
{
    load();
    assert_true(make("out.onnx", "auto"));
    assert_int_equal(layout.tensors.count, 0);
    assert_true(make("out.onnx", "weights.bin") && make("out.onnx", "auto"));
    assert_int_equal(layout.tensors.count, 3); /* which were external by now */
    assert_string_equal(layout.data_path, "out.onnx.data");
    assert_string_equal(entry(maker_initializer(&maker, "b"), "location"), "out.onnx.data");
}

/* Nobody reads the payload: what counts is how long it is. */
static void what_fits_no_message_goes_out(void **state)
{
    load();
    Onnx__TensorProto *large = maker.model.proto->graph->initializer[0];
    large->raw_data.len = (size_t)INT32_MAX + 1;
    assert_false(make("out.onnx", "inline"));
    assert_failed(maker.error, I4Q_MODEL, "more than the 2 GiB of a protobuf message");
    assert_true(make("out.onnx", "auto"));
    assert_int_equal(layout.tensors.count, TENSORS);
    assert_true(layout.data_bytes > INT32_MAX && layout.model_bytes < PAGE);
    assert_string_equal(entry(large, "length"), "2147483648");
}

static void standard_output_takes_one_file(void **state)
{
    load();
    assert_true(make("-", "auto") && make("-", "inline"));
    assert_false(make("-", "weights.bin"));
    assert_failed(maker.error, I4Q_USAGE, "a model with external data cannot go to standard output");
    assert_false(make("/dev/null", "weights.bin"));
    assert_failed(maker.error, I4Q_USAGE, "cannot go to '/dev/null', which is no regular file");
}

static void names_are_those_of_files_beside_the_output(void **state)
{
    static const char *const bad[] = {"", ".", "..", "a/b", "/", "out.onnx", "\xff"};
    static const char *const good[] = {"auto", "inline", "weights.bin", "..x", "\xc3\xa9", "OUT.onnx"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct i4q_error error = {0};
        assert_false(i4q_layout_check("folder/out.onnx", bad[i], &error));
        assert_failed(error, I4Q_USAGE, "is not auto, inline or the name of a file beside the output");
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(i4q_layout_check("folder/out.onnx", good[i], &maker.error));
    assert_string_equal(i4q_layout_word(0), "auto");
    assert_string_equal(i4q_layout_word(1), "inline");
    assert_null(i4q_layout_word(2));
}

static void paths_of_data_files(void **state)
{
    static const char *const rows[][3] = {
        {"out.onnx", "auto", "out.onnx.data"},
        {"a/b/out.onnx", "auto", "a/b/out.onnx.data"},
        {"out.onnx", "w", "w"},
        {"a/b/out.onnx", "w", "a/b/w"},
        {"/out.onnx", "w", "/w"},
        {"-", "auto", NULL},
        {"-", "w", NULL},
        {"a/out.onnx", "inline", NULL},
    };
    char *path;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(i4q_layout_data_path(&maker.messages, rows[i][0], rows[i][1], &path));
        assert_int_equal(path == NULL, rows[i][2] == NULL);
        if (path)
            assert_string_equal(path, rows[i][2]);
    }
}

static void a_name_that_is_no_text_is_refused(void **state)
{
    load();
    assert_true(make("out.onnx", "weights.bin"));
    assert_false(make("\xff.onnx", "auto"));
    assert_failed(maker.error, I4Q_USAGE, "is not UTF-8");
}

static void write_to(const char *path)
{
    struct i4q_output output;
    struct i4q_error error = {0};
    if (!i4q_output_open(&output, path, I4Q_OUTPUT_NEW, &error) ||
        !i4q_layout_write(&maker.model, &layout, &output, &error))
        fail_msg("%s", error.message);
}

static size_t file_size(const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    fclose(file);
    return (size_t)size;
}

static void both_files_hold_all_of_it(void **state)
{
    static const char *const placements[] = {"inline", "weights.bin", "auto"};
    load();
    for (size_t p = 0; p < 3; p++) {
        struct i4q_model again;
        char path[] = "0.onnx";
        path[0] = (char)('0' + (char)p);
        assert_true(make(path, placements[p]));
        write_to(path);
        assert_int_equal(file_size(path), layout.model_bytes);
        if (p)
            assert_int_equal(file_size(layout.data_path), layout.data_bytes);
        if (!i4q_model_load(&again, path, false, &maker.error))
            fail_msg("%s", maker.error.message);
        for (size_t t = 0; t < TENSORS; t++) {
            const Onnx__TensorProto *tensor = again.proto->graph->initializer[t];
            assert_int_equal(tensor->raw_data.len, SIZES[t]);
            assert_memory_equal(tensor->raw_data.data,
                                maker.model.proto->graph->initializer[t]->raw_data.data, SIZES[t]);
        }
        i4q_model_free(&again);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(large_tensors_go_to_a_file_of_that_name, setup, teardown),
        cmocka_unit_test_setup_teardown(inline_takes_them_back, setup, teardown),
        cmocka_unit_test_setup_teardown(auto_leaves_them_as_the_model_has_them, setup, teardown),
        cmocka_unit_test_setup_teardown(what_fits_no_message_goes_out, setup, teardown),
        cmocka_unit_test_setup_teardown(standard_output_takes_one_file, setup, teardown),
        cmocka_unit_test_setup_teardown(names_are_those_of_files_beside_the_output, setup, teardown),
        cmocka_unit_test_setup_teardown(paths_of_data_files, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_that_is_no_text_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(both_files_hold_all_of_it, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
