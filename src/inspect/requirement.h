// SPDX-License-Identifier: Apache-2.0
/* --require: what a script expects of a model, as `int4>=82`, `float==36`, `size<9M`, `opset>=21`, `ir>=10`,
 * `valid`. The left side is a kind of storage (Convs stored so), convs, act8 (activations quantized to 8
 * bits; so for 2 to 8 and 16, act: all), size (bytes of the file), opset or ir; numbers may have a suffix (K,
 * M, G = 1000, ...; Ki, Mi, Gi = 1024, ...). */
#ifndef INT4Q_INSPECT_REQUIREMENT_H
#define INT4Q_INSPECT_REQUIREMENT_H

#include "inspect/inspection.h"

struct i4q_requirement {
    const char *text; /* as the user wrote it; borrowed */
    const char *kind; /* whose Convs are counted; NULL: the subject is another one */
    size_t subject;   /* row of the table of those */
    size_t relation;  /* row of the table of relations; not for `valid` */
    double number;    /* to compare with */
    double value;     /* what the model has; `valid` is 1 or 0 */
    bool holds;
};

/* Fills text, subject, relation and number. I4Q_USAGE when the text is no requirement. */
bool i4q_requirement_parse(const char *text, struct i4q_requirement *requirement,
                           struct i4q_error *error) I4Q_MUST_CHECK;

/* Fills value and holds. `bytes` is the size of the model's file. */
void i4q_requirement_check(struct i4q_requirement *requirement, const struct i4q_inspection *inspection,
                           size_t bytes);

#endif
