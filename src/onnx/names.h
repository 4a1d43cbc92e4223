// SPDX-License-Identifier: Apache-2.0
/*
 * The names under which people know a Conv: its ONNX node name (/model.2/m.0/cv1/conv/Conv), its weight
 * (model.2.m.0.cv1.conv.weight), and its torch module (model.2.m.0.cv1.conv), which follows from either. The
 * exporter repeats parents of indexed modules: /model.8/m/m.0/cv1/cv1.0/conv/Conv is model.8.m.0.cv1.0.conv.
 */
#ifndef INT4Q_ONNX_NAMES_H
#define INT4Q_ONNX_NAMES_H

#include "base/arena.h"
#include "base/table.h"

enum i4q_alias {
    I4Q_ALIAS_NODE,
    I4Q_ALIAS_WEIGHT,
    I4Q_ALIAS_WEIGHT_MODULE, /* the weight without ".weight" */
    I4Q_ALIAS_MODULE,        /* from the node name, where that is a path */
    I4Q_ALIAS_MODULE_WEIGHT, /* the same with ".weight" */
    I4Q_ALIASES,
};

struct i4q_names {
    const char *alias[I4Q_ALIASES]; /* NULL where there is none; never "" */
};

/* All aliases of a Conv, from its node name and its weight's name (either may be NULL or ""). */
bool i4q_names_make(struct i4q_arena *arena, const char *node, const char *weight,
                    struct i4q_names *names) I4Q_MUST_CHECK;

/* One Conv that has some alias. */
struct i4q_name_hit {
    size_t conv; /* index into the array that the index was made from */
    const struct i4q_name_hit *next;
};

/* From alias to the Convs that have it, so that looking up an entry takes constant time. */
struct i4q_name_index {
    struct i4q_arena *arena;
    const struct i4q_names *names; /* borrowed */
    size_t count;
    struct i4q_table
        hits; /* alias -> const struct i4q_name_hit, in increasing order of `conv`, each Conv once */
};

bool i4q_name_index_make(struct i4q_arena *arena, const struct i4q_names *names, size_t count,
                         struct i4q_name_index *index) I4Q_MUST_CHECK;

/* The Convs with the very alias `name`; NULL when there is none. */
const struct i4q_name_hit *i4q_name_index_find(const struct i4q_name_index *index, const char *name);

#endif
