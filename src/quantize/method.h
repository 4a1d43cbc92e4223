// SPDX-License-Identifier: Apache-2.0
/* The ways to choose scale, zero point and codes: independent choices, and the table of their best known
 * combinations, which is what --method names. docs/methods.md has the formulas, their sources and what they
 * do to detectors. Where all or the kept Convs get 8 bits, the first row is good enough for them. */
#ifndef INT4Q_QUANTIZE_METHOD_H
#define INT4Q_QUANTIZE_METHOD_H

#include <stdbool.h>
#include <stddef.h>

enum i4q_scale_choice {
    I4Q_SCALE_ABSMAX, /* max |w| / qmax: codes -qmax to qmax */
    I4Q_SCALE_SIGNED, /* max(max w / qmax, -min w / (qmax + 1)): the lowest code is used too */
    I4Q_SCALE_RANGE,  /* (max w - min w) / number of steps, with a zero point */
    I4Q_SCALE_MSE,    /* as SIGNED or RANGE, shrunk to where sum |w - decoded|^2 is least */
    I4Q_SCALE_L24,    /* the same with |w - decoded|^2.4 */
};

/* How the code of each weight is chosen, given the scales. */
enum i4q_rounding {
    I4Q_ROUND_NEAREST,
    I4Q_ROUND_SQUANT,   /* errors that cancel, kernel by kernel and channel by channel */
    I4Q_ROUND_DESCENT,  /* from there, coordinate descent on the error of the Conv's output */
    I4Q_ROUND_GPTQ,     /* GPTQ, then coordinate descent */
    I4Q_ROUND_ESTIMATE, /* as SQUANT, and says what it does to the output of the Conv; for ranking */
};

struct i4q_method {
    const char *name;
    enum i4q_scale_choice scale;
    bool asymmetric; /* a zero point for each scale; always with RANGE, never with ABSMAX and SIGNED */
    enum i4q_rounding rounding;
    bool propagate; /* without statistics, biases are corrected by means that the graph itself tells */
};

/* The rows; ends with one whose name is NULL. The first is the default. */
extern const struct i4q_method i4q_methods[];

/* The words of --method, --scale and --rounding: word `index`, NULL behind the last. The index of the last
 * two is the value of the enumeration. */
const char *i4q_method_word(size_t index);
const char *i4q_scale_word(size_t index);
const char *i4q_rounding_word(size_t index);

/* The same without zero points; a scale that goes with one gives way to the search, which keeps most of what
 * it gains (docs/methods.md). */
struct i4q_method i4q_method_symmetric(const struct i4q_method *method);

/* Whether the scale comes from a search over the errors. */
bool i4q_method_searches(const struct i4q_method *method);

/* Whether a method works on calibration statistics. */
bool i4q_method_needs_statistics(const struct i4q_method *method);

/* A preset for codes of so many bits: with few of them and statistics, steps that are finer where most
 * weights are pay for clipping the others. */
struct i4q_method i4q_method_for_bits(const struct i4q_method *preset, unsigned bits);

#endif
