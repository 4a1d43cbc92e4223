// SPDX-License-Identifier: Apache-2.0
/* An inspected model beside the one it was made from: the errors of its weights, and whatever else differs.
 */
#ifndef INT4Q_INSPECT_COMPARISON_H
#define INT4Q_INSPECT_COMPARISON_H

#include "inspect/inspection.h"

/* Fills compared, sqnr_db and max_error of the rows whose node the reference has as well, but
 * for those with the factors of factors.h, and
 * `differences`. Works in the arenas of both models, and changes their messages: all payloads end in
 * raw_data. Fails for want of memory, or because the reference's Convs are not sound. */
bool i4q_compare(struct i4q_inspection *inspection, struct i4q_model *reference,
                 const struct i4q_kernels *kernels, struct i4q_error *error) I4Q_MUST_CHECK;

#endif
