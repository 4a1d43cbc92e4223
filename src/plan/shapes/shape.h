// SPDX-License-Identifier: Apache-2.0
/* The shapes of sensitivity JSON, a file each: told apart by their structure, read entry by entry. Adding one
 * is a file with a row, and the row's name in sensitivity.c. See docs/reference.md. */
#ifndef INT4Q_PLAN_SHAPES_SHAPE_H
#define INT4Q_PLAN_SHAPES_SHAPE_H

#include "base/arena.h"

#include <jansson.h>

enum { I4Q_WHERE = 256 }; /* bytes for the place of an entry, terminator included; long names are cut */

/* One measurement as it stands in the file. */
struct i4q_entry {
    const char *where; /* how messages call its place, such as layer_sensitivity[3] ('model.0.conv') */
    const char *name;
    double score;
    double worse; /* larger = more sensitive, whichever way the file counts */
    double noise; /* to signal, of the codes that it was measured with; 0 when the file does not tell */
    double bits;  /* INFINITY when the file does not tell: any row that does tell counts before it */
};

/* Who takes the entries. */
struct i4q_sink {
    struct i4q_arena *arena;
    struct i4q_error *error;
    bool (*take)(struct i4q_sink *sink, const struct i4q_entry *entry);
    bool has_k; /* the file has a "k" that means something */
    size_t k;
};

struct i4q_shape {
    bool (*recognise)(json_t *root);
    /* Hands over every entry that counts. I4Q_MODEL: a row of a wrong type, saying which. */
    bool (*read)(struct i4q_sink *sink, json_t *root);
    bool scored; /* else it lists names without scores */
};

extern const struct i4q_shape i4q_shape_rows, i4q_shape_recipes, i4q_shape_exclusion, i4q_shape_scores,
    i4q_shape_records;

/* ---- for the readers: parts of an entry, whose place is `where` */

/* layer_sensitivity[3] ('model.0.conv') */
void i4q_shape_where(char where[I4Q_WHERE], const char *list, size_t i, const json_t *name);

/* The error of a value that is not what was `expected`. Returns false. */
bool i4q_shape_wrong(struct i4q_sink *sink, const char *where, const char *key, const char *expected,
                     const json_t *value);

bool i4q_shape_number(struct i4q_sink *sink, const char *where, const char *key, const json_t *value,
                      double *number);
bool i4q_shape_name(struct i4q_sink *sink, const char *where, const char *key, const json_t *value,
                    const char **name);

/* "k" of the document, where there is one. */
bool i4q_shape_k(struct i4q_sink *sink, const json_t *root);

#endif
