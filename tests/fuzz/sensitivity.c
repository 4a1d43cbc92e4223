// SPDX-License-Identifier: Apache-2.0
/* Sensitivity JSON of any shape: scores are finite and belong to Convs that are there, or one line says what
 * is wrong. */
#include "fuzz.h"

#include "plan/sensitivity.h"

#include <math.h>
#include <string.h>

enum {
    /* Bytes of the arena that the entries of a file may take for each of its bytes: `"":1,` is an entry whose
     * name is kept. */
    ARENA_BASE = 1 << 17,
    ARENA_FACTOR = 64,
};

/* Convs of a model as torch exports name them; the seeds speak of them. */
static const char *const convs[][2] = {
    {"/model.0/conv/Conv", "model.0.conv.weight"},
    {"/model.8/m/m.0/cv1/cv1.0/conv/Conv", "model.8.m.0.cv1.0.conv.weight"},
    {"conv", "w"},     /* no path */
    {"shared_1", "s"}, /* SHARED: two Convs of one weight */
    {"shared_2", "s"},
    {"other", "conv"}, /* its weight has the name of another Conv */
    {"", "unnamed.weight"},
};

enum { CONVS = sizeof convs / sizeof *convs, SHARED = 3 };

static struct i4q_name_index make_index(struct i4q_arena *arena, const void **weights)
{
    static struct i4q_names names[CONVS];
    struct i4q_name_index index;
    for (size_t i = 0; i < CONVS; i++) {
        REQUIRE(i4q_names_make(arena, convs[i][0], convs[i][1], &names[i]));
        weights[i] = convs[i][1];
    }
    weights[SHARED + 1] = weights[SHARED];
    REQUIRE(i4q_name_index_make(arena, names, CONVS, &index));
    return index;
}

static void check(const struct i4q_sensitivity *sensitivity)
{
    size_t present = 0;
    for (size_t i = 0; i < CONVS; i++) {
        const struct i4q_measurement *conv = &sensitivity->convs[i];
        present += conv->present;
        REQUIRE(isfinite(conv->score) && fabs(conv->worse) == fabs(conv->score));
        REQUIRE(sensitivity->scored || conv->score == 0);
        REQUIRE(conv->present || conv->score == 0);
    }
    REQUIRE(sensitivity->unmatched.count <= sensitivity->entries);
    /* A file whose names are all strange is refused. */
    REQUIRE((present > 0) == (sensitivity->entries > 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct i4q_arena arena;
    struct i4q_sensitivity sensitivity;
    struct i4q_error error = {0};
    const void *weights[CONVS];
    i4q_arena_init(&arena, ARENA_BASE + ARENA_FACTOR * size);
    struct i4q_name_index index = make_index(&arena, weights);
    if (i4q_sensitivity_read(&arena, (struct i4q_view){data, size}, &index, weights, &sensitivity, &error))
        check(&sensitivity);
    else
        REQUIRE_OK(error.code == I4Q_MODEL && *error.message, error);
    i4q_arena_free(&arena);
    return 0;
}
