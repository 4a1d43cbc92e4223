// SPDX-License-Identifier: Apache-2.0
/* Names of Convs: the aliases of any pair of names are as names.h says, and a torch module is found under the
 * node name that an export gives it. */
#include "fuzz.h"

#include "onnx/names.h"

#include <string.h>

enum { MAX_MODULES = 16 };

/* ---- any names */

/* The bytes up to the next NUL, as a string; without one, the rest. */
static const char *take_text(struct i4q_arena *arena, const uint8_t **data, size_t *size)
{
    const uint8_t *nul = *size ? memchr(*data, 0, *size) : NULL;
    size_t length = nul ? (size_t)(nul - *data) : *size, used = length + (nul != NULL);
    char *text = i4q_arena_format(arena, "%.*s", (int)length, length ? (const char *)*data : "");
    REQUIRE(text);
    *data += used;
    *size -= used;
    return text;
}

static bool has_suffix(const char *text, size_t length, const char *suffix)
{
    return strlen(text) == length + strlen(suffix) && strcmp(text + length, suffix) == 0;
}

static void check_aliases(const char *node, const char *weight, const struct i4q_names *names)
{
    const char *const *alias = names->alias, *module = alias[I4Q_ALIAS_MODULE];
    for (int a = 0; a < I4Q_ALIASES; a++)
        REQUIRE(!alias[a] || *alias[a]);
    REQUIRE(*node ? strcmp(alias[I4Q_ALIAS_NODE], node) == 0 : !alias[I4Q_ALIAS_NODE]);
    REQUIRE(*weight ? strcmp(alias[I4Q_ALIAS_WEIGHT], weight) == 0 : !alias[I4Q_ALIAS_WEIGHT]);
    REQUIRE(!module == !alias[I4Q_ALIAS_MODULE_WEIGHT]);
    if (module) {
        REQUIRE(strlen(module) < strlen(node) && !strchr(module, '/'));
        REQUIRE(has_suffix(alias[I4Q_ALIAS_MODULE_WEIGHT], strlen(module), ".weight"));
    }
    if (alias[I4Q_ALIAS_WEIGHT_MODULE])
        REQUIRE(has_suffix(weight, strlen(alias[I4Q_ALIAS_WEIGHT_MODULE]), ".weight"));
}

/* Both Convs are found under each of their aliases, once and in order. */
static void check_index(struct i4q_arena *arena, const struct i4q_names *names, size_t count)
{
    struct i4q_name_index index;
    REQUIRE(i4q_name_index_make(arena, names, count, &index));
    for (size_t i = 0; i < count; i++)
        for (int a = 0; a < I4Q_ALIASES; a++) {
            if (!names[i].alias[a])
                continue;
            size_t found = 0;
            for (const struct i4q_name_hit *hit = i4q_name_index_find(&index, names[i].alias[a]); hit;
                 hit = hit->next) {
                found += hit->conv == i;
                REQUIRE(hit->conv < count && (!hit->next || hit->next->conv > hit->conv));
            }
            REQUIRE(found == 1);
        }
}

/* ---- a torch module */

struct path {
    char module[16 * MAX_MODULES], node[48 * MAX_MODULES];
};

static void append(char *path, const char *separator, const char *text)
{
    strcat(*path ? strcat(path, separator) : path, text);
}

/* Modules nested as the bytes say. Each is called m<level>, or is a child by number of the module above,
 * which the exporter writes as one component, alone or behind one for its parent. */
static struct path make_path(const uint8_t *data, size_t size)
{
    struct path path = {0};
    for (size_t level = 0; level < size && level < MAX_MODULES; level++) {
        char name[16], numbered[32];
        snprintf(name, sizeof name, "m%zu", level);
        snprintf(numbered, sizeof numbered, "%s.%u", name, data[level] / 4);
        append(path.module, ".", data[level] % 4 ? numbered : name);
        strcat(path.node, "/");
        if (data[level] % 4 > 1)
            strcat(strcat(path.node, name), "/");
        strcat(path.node, data[level] % 4 ? numbered : name);
    }
    strcat(path.node, "/Conv");
    return path;
}

static void check_module(struct i4q_arena *arena, const uint8_t *data, size_t size)
{
    struct path path = make_path(data, size);
    struct i4q_names names;
    REQUIRE(i4q_names_make(arena, path.node, NULL, &names));
    if (*path.module)
        REQUIRE(strcmp(names.alias[I4Q_ALIAS_MODULE], path.module) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct i4q_arena arena;
    struct i4q_names names[2];
    i4q_arena_init(&arena, SIZE_MAX / 2);
    check_module(&arena, data, size);
    for (int i = 0; i < 2; i++) {
        const char *node = take_text(&arena, &data, &size), *weight = take_text(&arena, &data, &size);
        REQUIRE(i4q_names_make(&arena, node, weight, &names[i]));
        check_aliases(node, weight, &names[i]);
    }
    check_index(&arena, names, 2);
    i4q_arena_free(&arena);
    return 0;
}
