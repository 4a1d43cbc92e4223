// SPDX-License-Identifier: Apache-2.0
#include "report/stages.h"

#include <string.h>

enum { MOST_WORDS = 16 };

static const char *path_of(const struct i4q_conv *conv)
{
    const char *node = i4q_node_label(conv->node->proto);
    bool is_path = strchr(node, '/') || !strchr(conv->weight->name, '.');
    return is_path ? node + (*node == '/') : conv->weight->name;
}

/* The first words of the path. */
static struct i4q_stage stage_of(const struct i4q_conv *conv, unsigned words)
{
    struct i4q_stage stage = {.path = path_of(conv)};
    for (const char *at = stage.path; words; words--, at++) {
        at += strcspn(at, "./");
        stage.length = (size_t)(at - stage.path);
        if (!*at)
            break;
    }
    return stage;
}

static size_t find(const struct i4q_stages *stages, const struct i4q_stage *stage)
{
    for (size_t i = 0; i < stages->count; i++)
        if (stages->items[i].length == stage->length &&
            memcmp(stages->items[i].path, stage->path, stage->length) == 0)
            return i;
    return stages->count;
}

/* False: they are too many. */
static bool divide(const struct i4q_conv *convs, size_t count, unsigned words, struct i4q_stages *stages)
{
    *stages = (struct i4q_stages){.words = words};
    for (size_t i = 0; i < count; i++) {
        struct i4q_stage stage = stage_of(&convs[i], words);
        if (find(stages, &stage) < stages->count)
            continue;
        if (stages->count == I4Q_STAGES_MOST)
            return false;
        stages->items[stages->count++] = stage;
    }
    return true;
}

void i4q_stages_find(const struct i4q_conv *convs, size_t count, struct i4q_stages *stages)
{
    struct i4q_stages finer;
    *stages = (struct i4q_stages){.count = 0};
    for (unsigned words = 1; words <= MOST_WORDS && divide(convs, count, words, &finer); words++)
        *stages = finer;
}

size_t i4q_stage_of(const struct i4q_stages *stages, const struct i4q_conv *conv)
{
    struct i4q_stage stage = stage_of(conv, stages->words);
    return find(stages, &stage);
}
