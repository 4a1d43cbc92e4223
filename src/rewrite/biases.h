// SPDX-License-Identifier: Apache-2.0
/* Biases that are stored as integers. */
#ifndef INT4Q_REWRITE_BIASES_H
#define INT4Q_REWRITE_BIASES_H

#include "onnx/model.h"

/* Every vector that a DequantizeLinear makes of stored integers of up to 32 bits becomes an initializer of
 * the same FLOAT numbers, float(code - zero point) * scale; tells how many. Changes the model's messages, and
 * indexes them anew; an import of com.microsoft that nothing uses any more goes. Fails only for want of
 * memory; what cannot be read, and more than 8 bytes for each of the model, stays as it is. */
bool i4q_fold_biases(struct i4q_model *model, size_t *count, struct i4q_error *error) I4Q_MUST_CHECK;

#endif
