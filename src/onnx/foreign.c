// SPDX-License-Identifier: Apache-2.0
#include "onnx/foreign.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define EXPORT "export it to ONNX first"

struct mark {
    size_t offset;
    const char *bytes;
    size_t size;
    const char *meaning;
};

#define MARK(offset, bytes, meaning)                                                                         \
    {                                                                                                        \
        offset, bytes, sizeof(bytes) - 1, meaning                                                            \
    }

/* A longer mark stands before a shorter one that it begins with. */
static const struct mark MARKS[] = {
    MARK(0, "version https://git-lfs", "a Git LFS pointer, the file itself was not fetched: git lfs pull"),
    MARK(0, "PK\x03\x04", "a zip archive: a PyTorch checkpoint or a packed model; " EXPORT ", or unpack it"),
    MARK(0, "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19", "a PyTorch checkpoint: " EXPORT),
    MARK(0, "\x89HDF\r\n", "an HDF5 file, as Keras writes them: " EXPORT),
    MARK(0, "GGUF", "a GGUF model: int4q rewrites ONNX models only"),
    MARK(0, "ftrt", "a TensorRT engine: rewrite the ONNX model it was built from"),
    MARK(4, "TFL3", "a TensorFlow Lite model: " EXPORT),
    MARK(4, "ORTM", "a model in ONNX Runtime's own format: rewrite the .onnx file it was made from"),
    MARK(0, "\x1f\x8b", "a gzip file: decompress it first"),
    MARK(0,
         "\xfd"
         "7zXZ",
         "an xz file: decompress it first"),
    MARK(0, "\x28\xb5\x2f\xfd", "a zstd file: decompress it first"),
    MARK(257, "ustar", "a tar archive: unpack it first"),
    MARK(0, "\xff\xd8\xff", "a JPEG image"),
    MARK(0, "\x89PNG\r\n", "a PNG image"),
    MARK(8, "WEBP", "a WebP image"),
    MARK(0, "<?xml", "an XML file: rewrite the ONNX model it was made from"),
    MARK(0, "<", "an HTML page: the download link led to a page, not to the file"),
    MARK(0, "{", "a JSON file: export the model as binary ONNX"),
    MARK(0, "[", "a JSON file: export the model as binary ONNX"),
    MARK(0, "\xef\xbb\xbf", "a text file"),
    MARK(0, "ir_version:", "a model as text: convert it to binary ONNX first"),
    MARK(0, "producer_name:", "a model as text: convert it to binary ONNX first"),
    MARK(0, "graph {", "a model as text: convert it to binary ONNX first"),
};

static bool has(struct i4q_view bytes, size_t offset, const char *mark, size_t size)
{
    return bytes.size >= offset + size && memcmp(bytes.data + offset, mark, size) == 0;
}

/* A 64-bit length, then a JSON object of that length. */
static bool is_safetensors(struct i4q_view bytes)
{
    uint64_t length;
    if (bytes.size < sizeof length + 1)
        return false;
    memcpy(&length, bytes.data, sizeof length);
    return length <= bytes.size - sizeof length && bytes.data[sizeof length] == '{';
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

const char *i4q_foreign(struct i4q_view bytes, const char *path)
{
    for (size_t i = 0; i < sizeof MARKS / sizeof *MARKS; i++)
        if (has(bytes, MARKS[i].offset, MARKS[i].bytes, MARKS[i].size))
            return MARKS[i].meaning;
    if (is_safetensors(bytes))
        return "a safetensors file, weights without a graph: " EXPORT;
    return path && ends_with(path, "data")
               ? "external data of a model: name the .onnx file that belongs to it"
               : NULL;
}
