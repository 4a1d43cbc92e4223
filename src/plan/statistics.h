// SPDX-License-Identifier: Apache-2.0
/*
 * Calibration statistics, as scripts/calibrate.py writes them: a safetensors file (8 bytes of length, a JSON
 * header, data) with, for each Conv weight W of K = I/groups * kh * kw inputs a channel,
 *     "W|mu"  F32 [K] or [groups, K]          E[x]
 *     "W|H"   F32 [K, K] or [groups, K, K]    E[x x^T]; may be missing
 *     "W|target"  F32 [O, K]                  weights to aim at; may be missing
 *     "W|shift"   F32 [O]                     what the bias gains with them; may be missing
 * and "images" among the metadata. The file is mapped, and nothing in it is believed before it is checked.
 */
#ifndef INT4Q_PLAN_STATISTICS_H
#define INT4Q_PLAN_STATISTICS_H

#include "platform/file.h"
#include "quantize/moments.h"

#include <jansson.h>

struct i4q_statistics {
    const char *path; /* borrowed; NULL: from memory */
    struct i4q_input input;
    json_t *header;
    struct i4q_view data; /* behind the header */
    size_t images;
};

/* Opens a file; I4Q_MODEL: not such a file. A zeroed struct may be closed too. */
bool i4q_statistics_open(struct i4q_statistics *statistics, const char *path,
                         struct i4q_error *error) I4Q_MUST_CHECK;
/* The same from memory, which is borrowed. */
bool i4q_statistics_read(struct i4q_statistics *statistics, struct i4q_view bytes,
                         struct i4q_error *error) I4Q_MUST_CHECK;
void i4q_statistics_close(struct i4q_statistics *statistics);

/* The tensor "name|what" of this type and rank, of which it gives the dimensions; *data stays NULL where the
 * file has none. It borrows from the file. I4Q_MODEL: it has another type or rank, an empty dimension, or
 * lies outside the file. */
bool i4q_statistics_tensor(const struct i4q_statistics *statistics, const char *name, const char *what,
                           const char *type, size_t rank, size_t *dims, const void **data,
                           struct i4q_error *error) I4Q_MUST_CHECK;

/* The moments for a weight [channels, k]; moments->mean stays NULL where the file has none. They borrow from
 * the file. I4Q_MODEL, about the file: they do not fit the weight, or lie outside the file, or the target or
 * the shift has a number of a magnitude beyond `limit`. */
bool i4q_statistics_find(const struct i4q_statistics *statistics, const char *weight, size_t channels,
                         size_t k, float limit, struct i4q_moments *moments,
                         struct i4q_error *error) I4Q_MUST_CHECK;

#endif
