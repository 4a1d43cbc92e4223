// SPDX-License-Identifier: Apache-2.0
/*
 * An activation in low bits: what stands between a value T and the Convs that read it.
 *
 *     T -> QuantizeLinear (-> Clip) -> DequantizeLinear
 *
 * Codes of b bits are UINT8 from 0 to 2^b - 1, or INT8 from -2^(b-1) on, which is the same shifted; Clip
 * keeps them within where b is less than 8. With factors a[c], QuantizeLinear has a scale a channel (axis 1),
 * s a[c], and DequantizeLinear the one scale s: so it gives T / a, which weights that were multiplied by a[c]
 * meet.
 */
#ifndef INT4Q_FORMS_ACTIVATION_H
#define INT4Q_FORMS_ACTIVATION_H

#include "onnx/edit.h"
#include "quantize/range.h"

struct i4q_qdq {
    const char *name; /* of T */
    bool half;        /* T is FLOAT16, else FLOAT */
    bool is_signed;   /* INT8, else UINT8 */
    size_t channels;
    const float *factors; /* [channels]; NULL: one scale */
    bool by_mul;          /* the factors are divided by before QuantizeLinear */
    size_t rank;          /* of T, at least 2 */
    struct i4q_range range;
};

/* Where it is made. */
struct i4q_qdq_place {
    struct i4q_model *model;
    struct i4q_scope *scope;  /* whose graph gets the initializers */
    struct i4q_table *shared; /* bounds of Clip: key -> name, for all activations of the graph */
};

/* The version of ai.onnx that it needs. */
int64_t i4q_qdq_opset(const struct i4q_qdq *activation);

/* Adds the nodes to `nodes` and their initializers T_... to the graph. The value that Convs are to read, NULL
 * when memory runs out. */
const char *i4q_qdq_emit(const struct i4q_qdq_place *place, const struct i4q_qdq *activation,
                         struct i4q_list *nodes) I4Q_MUST_CHECK;

#endif
