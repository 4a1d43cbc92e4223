// SPDX-License-Identifier: Apache-2.0
/* The Convs of a model, and other operators with a weight, with the source of each weight: behind nodes that
 * decode stored integers, too. */
#ifndef INT4Q_FORMS_CONVS_H
#define INT4Q_FORMS_CONVS_H

#include "onnx/layers.h"

/* As i4q_layers_find, with the origin of each weight; of `ops_if_decoded` only those whose weight is decoded
 * from stored integers, or has an origin. */
bool i4q_convs_find(struct i4q_model *model, unsigned ops, unsigned ops_if_decoded, struct i4q_conv **convs,
                    size_t *count, struct i4q_error *error) I4Q_MUST_CHECK;

/* Whether the Conv's weight is surely made of stored integers: in one of the forms, or by a DequantizeLinear
 * whose numbers at most move before the Conv reads them. Other arithmetic on integers makes any numbers. */
bool i4q_is_decoded(const struct i4q_conv *conv);

#endif
