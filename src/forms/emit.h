// SPDX-License-Identifier: Apache-2.0
/*
 * What stands for one weight in the file, and the building blocks that the forms make it of.
 *
 * The model's messages stay as they are: what is made goes into lists, and whoever rewrites the model puts it
 * where it belongs. All of it is in the model's arena. A job without buffers gives the same messages, with
 * payloads that have a size but no bytes: good for finding out what they take in a file.
 */
#ifndef INT4Q_FORMS_EMIT_H
#define INT4Q_FORMS_EMIT_H

#include "forms/weight.h"
#include "onnx/edit.h"
#include "quantize/job.h"

/* A node of the graph that gives way. */
struct i4q_swap {
    const Onnx__NodeProto *node;
    Onnx__NodeProto *made; /* that stands in its place; NULL: none does */
};

/* A node that goes on to read another value. */
struct i4q_rewire {
    const struct i4q_use *use;
    const char *value;
};

struct i4q_emission {
    struct i4q_model *model;
    const struct i4q_weight *weight;
    const struct i4q_quantize_job *job;
    int64_t opset;            /* of ai.onnx, as the model will be written */
    struct i4q_table *shared; /* constants of the graph: key -> name, see i4q_emit_shared */
    const struct i4q_table
        *ranges; /* const struct i4q_range of 8 bits by the name of the value: an operator that
                    quantizes what it reads takes it from there; NULL: no values have any */

    struct i4q_list tensors; /* Onnx__TensorProto: initializers, where the weight stood */
    struct i4q_list nodes;   /* Onnx__NodeProto: at the front of the graph; the last makes the weight */
    struct i4q_list swaps;   /* struct i4q_swap */
    struct i4q_list rewires; /* struct i4q_rewire */
    struct i4q_list unread;  /* const char *: values that may have lost their last reader, see prune.h */
    unsigned features;       /* bits, of which the form's function is made */
    bool failed;             /* sticky: memory ran out */
};

/* ---- blocks. Each does nothing once the emission has failed; names are then "", messages NULL. */

/* An initializer W_<suffix>; its bytes are borrowed. */
Onnx__TensorProto *i4q_emit_tensor(struct i4q_emission *emission, const char *suffix, int32_t type,
                                   const int64_t *dims, size_t rank, const void *data, size_t size);

/* The codes and scales of the job as W_<suffix> and W_scale. Return the name. */
const char *i4q_emit_codes(struct i4q_emission *emission, const char *suffix, int32_t type,
                           const int64_t *dims, size_t rank);
const char *i4q_emit_scales(struct i4q_emission *emission, const int64_t *dims, size_t rank);

/* W_scale in FLOAT16, where the job is narrow. */
const char *i4q_emit_scales_narrow(struct i4q_emission *emission, const int64_t *dims, size_t rank);

/* W_zero_point, one for each scale: as codes, or as numbers of the weight's own type. */
const char *i4q_emit_zero_codes(struct i4q_emission *emission, const int64_t *dims, size_t rank);
const char *i4q_emit_zero_floats(struct i4q_emission *emission, const int64_t *dims, size_t rank);

/* The same as UINT8, a byte each. */
const char *i4q_emit_zero_bytes(struct i4q_emission *emission, const int64_t *dims, size_t rank);

/* W_shape: the weight's dimensions. */
const char *i4q_emit_shape(struct i4q_emission *emission);

/* A constant i4q_<suffix> that all weights of a graph share by its key. Key and data are borrowed. */
const char *i4q_emit_shared(struct i4q_emission *emission, const char *key, const char *suffix, int32_t type,
                            const int64_t *dims, size_t rank, const void *data, size_t size);

/* A FLOAT scalar, shared by all that have it. */
const char *i4q_emit_number(struct i4q_emission *emission, float number);

/* A node W_<op> of the standard domain that reads up to three values, the last ones may be NULL; its output
 * is W_<output>, NULL for the weight itself. */
Onnx__NodeProto *i4q_emit_node(struct i4q_emission *emission, const char *op, const char *output,
                               const char *a, const char *b, const char *c);

/* A node in the midst of a long decoder: it has no name, and its output a short one, as names would be most
 * of what the decoder takes in the file. */
Onnx__NodeProto *i4q_emit_step(struct i4q_emission *emission, const char *op, const char *a, const char *b,
                               const char *c);

/* The codes as the weight is shaped, with blocks as [channels, inner]; scales and zero points of one a
 * channel, or a block. The names under which DequantizeLinear has them. */
struct i4q_emit_integers {
    const char *codes, *scale, *zero;
};
struct i4q_emit_integers i4q_emit_integers(struct i4q_emission *emission);

/* A node with the name of `old`, in its place. */
Onnx__NodeProto *i4q_emit_swap(struct i4q_emission *emission, const Onnx__NodeProto *old, const char *op,
                               const char *const *inputs, size_t n, const char *output);

/* The use of a value becomes that of another one. */
void i4q_emit_rewire(struct i4q_emission *emission, const struct i4q_use *use, const char *value);

/* The value has lost a reader. */
void i4q_emit_unread(struct i4q_emission *emission, const char *name);

/* The node goes. */
void i4q_emit_drop(struct i4q_emission *emission, const Onnx__NodeProto *old);

/* Its output. */
const char *i4q_emit_output(const Onnx__NodeProto *node);

/* Attributes of a new node. */
void i4q_emit_int(struct i4q_emission *emission, Onnx__NodeProto *node, const char *name, int64_t value);
void i4q_emit_ints(struct i4q_emission *emission, Onnx__NodeProto *node, const char *name,
                   const int64_t *values, size_t n);
void i4q_emit_float(struct i4q_emission *emission, Onnx__NodeProto *node, const char *name, float value);
void i4q_emit_string(struct i4q_emission *emission, Onnx__NodeProto *node, const char *name,
                     const char *value);

/* Shape of a scale that broadcasts along the channel axis: [1, ..., channels, 1, ...]; NULL when memory ran
 * out. */
const int64_t *i4q_emit_column(struct i4q_emission *emission);

#endif
