// SPDX-License-Identifier: Apache-2.0
#include "model_target.h"

#include "onnx/save.h"

#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    DATA_SIZE = 6000, /* of the files with external data; from a page on, offsets are aligned to pages */
    /* Bytes of the arena that a model may take for each of its own: an empty message, two bytes in the file,
     * becomes a struct, an entry of the index, perhaps nodes that replace it. */
    ARENA_BASE = 1 << 20,
    ARENA_FACTOR = 4000,
};

/* ---- the directory: in/ with what external data may name, out/ with what was written */

static char input_path[128], output_path[128];

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    return remove(path);
}

static void remove_directory(void)
{
    enum { DESCRIPTORS = 4 };
    *strrchr(input_path, '/') = '\0'; /* in */
    *strrchr(input_path, '/') = '\0';
    nftw(input_path, remove_entry, DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
}

static void make_file(int in, const char *name, size_t size)
{
    int fd = openat(in, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)(i % 251);
        REQUIRE(write(fd, &byte, 1) == 1);
    }
    REQUIRE(close(fd) == 0);
}

/* In memory where there is such a directory: every write is synced. */
static void make_directory(void)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    char directory[64];
    snprintf(directory, sizeof directory, "%s/int4q-fuzz-XXXXXX", base);
    REQUIRE(mkdtemp(directory));
    snprintf(input_path, sizeof input_path, "%s/in/model.onnx", directory);
    snprintf(output_path, sizeof output_path, "%s/out/out.onnx", directory);
    atexit(remove_directory);
    int top = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(mkdirat(top, "in", 0777) == 0 && mkdirat(top, "in/sub", 0777) == 0 &&
            mkdirat(top, "out", 0777) == 0);
    make_file(top, "in/w.bin", DATA_SIZE);
    make_file(top, "in/sub/w.bin", DATA_SIZE);
    make_file(top, "in/twice", DATA_SIZE);
    make_file(top, "in/empty", 0);
    REQUIRE(linkat(top, "in/twice", top, "in/again", 0) == 0 && symlinkat("w.bin", top, "in/link") == 0 &&
            mkfifoat(top, "in/fifo", 0666) == 0);
    REQUIRE(close(top) == 0);
}

/* ---- around every run */

static int next_descriptor;

static int find_descriptor(void)
{
    int fd = dup(STDERR_FILENO);
    REQUIRE(fd >= 0 && close(fd) == 0);
    return fd;
}

void target_begin(void)
{
    if (!*input_path)
        make_directory();
    next_descriptor = find_descriptor();
}

void target_end(void)
{
    REQUIRE(find_descriptor() == next_descriptor);
}

/* ---- models */

static void check_arena(const struct i4q_model *model, size_t size)
{
    REQUIRE(model->arena.used <= ARENA_BASE + ARENA_FACTOR * size);
}

bool target_load(struct i4q_model *model, const uint8_t *data, size_t size)
{
    struct i4q_view bytes = {data, size};
    struct i4q_error error = {0};
    bool ok = i4q_model_load_bytes(model, bytes, input_path, false, &error);
    if (!ok && strstr(error.message, "--follow-symlinks")) {
        error.code = I4Q_OK;
        ok = i4q_model_load_bytes(model, bytes, input_path, true, &error);
    }
    /* Memory does not run out on inputs of this size, so another code is a reason that was lost. */
    REQUIRE_OK(ok || error.code == I4Q_MODEL, error);
    if (ok)
        check_arena(model, size);
    return ok;
}

void target_write(struct i4q_model *model, struct i4q_model *written)
{
    struct i4q_layout layout;
    struct i4q_output output;
    struct i4q_error error = {0};
    REQUIRE_OK(i4q_layout_make(model, output_path, "auto", &layout, &error), error);
    REQUIRE_OK(i4q_output_open(&output, output_path, I4Q_OUTPUT_REPLACE, &error), error);
    REQUIRE_OK(i4q_layout_write(model, &layout, &output, &error), error);
    REQUIRE_OK(i4q_model_load(written, output_path, false, &error), error);
    REQUIRE(i4q_model_bytes(written) == i4q_layout_bytes(&layout));
    check_arena(model, i4q_model_bytes(written));
}

const char *target_output_path(void)
{
    return output_path;
}

static void require_equal_bytes(struct i4q_view a, struct i4q_view b)
{
    REQUIRE(a.size == b.size && (!a.size || memcmp(a.data, b.data, a.size) == 0));
}

void target_require_equal(const struct i4q_model *a, const struct i4q_model *b)
{
    require_equal_bytes(a->input.bytes, b->input.bytes);
    REQUIRE(a->external.n_files == b->external.n_files);
    for (size_t i = 0; i < a->external.n_files; i++)
        require_equal_bytes(a->external.files[i].bytes, b->external.files[i].bytes);
}

/* ---- inspection and reports */

bool target_inspect(struct i4q_model *model, const struct i4q_kernels *kernels,
                    struct i4q_inspection *inspection)
{
    struct i4q_error error = {0};
    bool ok = i4q_inspect(model, kernels, true, inspection, &error);
    REQUIRE_OK(ok || error.code == I4Q_MODEL, error);
    return ok;
}

void target_check_json(json_t *json)
{
    REQUIRE(json);
    char *text = json_dumps(json, JSON_INDENT(1));
    REQUIRE(text);
    json_t *again = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    REQUIRE(json_equal(json, again));
    free(text);
    json_decref(json);
    json_decref(again);
}

static char *text;
static size_t text_size;

FILE *target_text_open(void)
{
    FILE *stream = open_memstream(&text, &text_size);
    REQUIRE(stream);
    return stream;
}

void target_text_close(FILE *stream)
{
    REQUIRE(fclose(stream) == 0);
    for (size_t i = 0; i < text_size; i++)
        REQUIRE(text[i] == '\n' || ((unsigned char)text[i] >= ' ' && text[i] != 0x7f));
    free(text);
}

const struct i4q_kernels *target_best_kernels(void)
{
    struct i4q_error error = {0};
    return i4q_kernels_choose(NULL, &error);
}

const struct i4q_kernels *target_scalar_kernels(void)
{
    struct i4q_error error = {0};
    return i4q_kernels_choose("scalar", &error);
}
