// SPDX-License-Identifier: Apache-2.0
/* What `int4q inspect` finds out: how every Conv's weight is stored, and what is wrong with it. */
#ifndef INT4Q_INSPECT_INSPECTION_H
#define INT4Q_INSPECT_INSPECTION_H

#include "forms/activation_read.h"
#include "forms/fakes.h"
#include "forms/storage.h"
#include "inspect/differences.h"
#include "kernels/sets.h"
#include "onnx/layers.h"
#include "onnx/model.h"
#include "plan/patterns.h"

enum i4q_zero_point { I4Q_ZERO_NONE, I4Q_ZERO_SYMMETRIC, I4Q_ZERO_ASYMMETRIC };

enum { I4Q_HISTOGRAM = 256 };

struct i4q_inspected {
    const struct i4q_conv *conv;
    struct i4q_storage storage;
    const struct i4q_inspected *first; /* that has the very same storage, in which all below is the same */
    const char *flaw;                  /* what is wrong with what is stored; NULL: nothing */
    enum i4q_zero_point zero_point;
    double scale_min, scale_max; /* NAN without scales */
    bool has_zero_channels;
    size_t zero_channels; /* output channels in which every code stands for 0 */

    /* With statistics, of integers of at most 8 bits. */
    size_t
        *histogram; /* [n_histogram] how often each code occurs, from the lowest to the highest; else NULL */
    size_t n_histogram;

    /* With a reference that has the same weight. */
    const struct i4q_value *compared; /* the reference's weight; NULL: none */
    double sqnr_db, max_error;        /* as in struct i4q_quantize_job */
};

/* The kinds of storage that are counted: the formats, "float", "fake" (floats that stand for integers) and
 * "other". Kind `index`, NULL behind the last.
 */
const char *i4q_kind_word(size_t index);

struct i4q_inspection {
    struct i4q_model *model;
    struct i4q_conv *convs; /* in file order */
    struct i4q_inspected *rows;
    size_t n_rows;
    struct i4q_activation_pair *activations; /* that are quantized, in file order */
    size_t n_activations;
    struct i4q_fake *fakes; /* all nodes of QONNX and its kin that quantize, in file order */
    size_t n_fakes;
    size_t float_bytes;                 /* of the weights that are stored as floats, each counted once */
    size_t integers, integer_bytes;     /* elements of the others, and what is stored for them */
    int64_t opset;                      /* of ai.onnx */
    struct i4q_patterns problems;       /* sentences; a sound model has none */
    struct i4q_differences differences; /* from the reference, other than in weights */
};

/* Everything is in the model's arena. A problem of the model is not an error but goes to `problems`; errors
 * are those of i4q_convs_find, and memory. `statistics`: histograms as well. */
bool i4q_inspect(struct i4q_model *model, const struct i4q_kernels *kernels, bool statistics,
                 struct i4q_inspection *inspection, struct i4q_error *error) I4Q_MUST_CHECK;

/* Stored bits of a weight that is no float, scales and zero points included; NAN where there is none. */
double i4q_inspection_bits(const struct i4q_inspection *inspection);

/* How many Convs have a weight of that kind. */
size_t i4q_inspection_total(const struct i4q_inspection *inspection, const char *kind);

/* How many activations are quantized to so many bits; 0 bits: to any. */
size_t i4q_inspection_activations(const struct i4q_inspection *inspection, unsigned bits);

/* "none", "zero" or "asymmetric"; NULL where there is nothing that could have a zero point, and where it is
 * of a type that is not read. */
const char *i4q_inspected_zero_point(const struct i4q_inspected *row);

#endif
