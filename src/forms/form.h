// SPDX-License-Identifier: Apache-2.0
/*
 * How integers stand for a weight in a graph. Every way is a row of one table: it says which weights it can
 * hold, what it takes in the file, what it needs of the model, writes it, and knows it again when it meets it
 * in a model. A new way is a file with a row, and the row's name in forms.c.
 */
#ifndef INT4Q_FORMS_FORM_H
#define INT4Q_FORMS_FORM_H

#include "forms/emit.h"
#include "onnx/layers.h"
#include "onnx/tensor.h"

enum i4q_granularity { I4Q_NO_SCALE, I4Q_PER_TENSOR, I4Q_PER_CHANNEL, I4Q_BLOCK };

/* How the weight of a Conv is stored: read off the model, judged by nobody. */
struct i4q_storage {
    const char *name; /* int4, uint4, int8, uint8, packed-u8, float32, float16, bfloat16, float64 or other */
    bool is_float;    /* one of the float kinds */
    unsigned packed_bits; /* of the codes that the elements of `codes`, bytes, are a stream of; 0: they are
                             codes */
    bool is_dequantize;   /* decoded by DequantizeLinear, whose rules the shapes must follow */

    /* The weight as the Conv sees it; dims NULL and count 0 when the file does not tell. */
    const int64_t *dims;
    size_t rank, count;

    /* What is stored for it; NULL where there is no such thing. Codes of a float weight are the weight
     * itself. */
    const Onnx__TensorProto *codes, *scale, *zero_point;
    const Onnx__TensorProto *unsound; /* one of them that was left out, since it has no possible shape */
    size_t bytes;                     /* payloads of codes, scale and zero point together */

    enum i4q_granularity granularity;
    int64_t axis;  /* of the codes, along which scales differ */
    int64_t block; /* elements that share a scale; 0 unless I4Q_BLOCK */

    const char *activation; /* fused into the operator, see fusion.h; NULL: none is */
};

/* When ONNX Runtime makes floats of the codes: on every run, once at load, or never where our library is. */
enum i4q_execution { I4Q_DECODES_EVERY_RUN, I4Q_DECODES_ONCE, I4Q_COMPUTES };

struct i4q_form {
    const char *word;   /* as in --decode and in reports; NULL: not chosen by that */
    const char *domain; /* of its nodes, which the model then imports in version 1; NULL: the standard one */
    enum i4q_execution execution;

    /* Whether it can hold such a weight; and what is said of the weights that it cannot. NULL: nothing. */
    const char *unheld;
    bool (*holds)(const struct i4q_weight *weight, const struct i4q_quantize_job *job);

    /* Bytes of codes, scales and zero points; needs no numbers: see job.h. */
    size_t (*bytes)(const struct i4q_quantize_job *job);

    /* The least versions of ai.onnx and IR that the model must have; 0: any. */
    int64_t (*opset)(const struct i4q_quantize_job *job);
    int64_t (*ir_version)(const struct i4q_quantize_job *job);

    /* Makes what stands for the weight, see emit.h. NULL: such models are read, not written. */
    void (*emit)(struct i4q_emission *emission);

    /* A function that the model must have, for the features of all emissions together. NULL: none; it returns
     * NULL only when memory runs out. */
    Onnx__FunctionProto *(*function)(struct i4q_model *model, int64_t opset, unsigned features);

    /* Whether a node that reads what is stored begins a weight of this form: a decoder, or the operator
     * itself where it takes integers. NULL: no node does. */
    bool (*begins)(const Onnx__NodeProto *node);

    /* Fills `storage`, of which the name is set, from a weight whose decoder begins this form. Touches no
     * payload but that of shapes. False: the nodes behind it are not those of the form, and no more can be
     * told than what was set. */
    bool (*recognise)(struct i4q_arena *arena, const struct i4q_conv *conv, struct i4q_storage *storage);
};

/* The rows; ends with NULL. The first is the default. */
extern const struct i4q_form *const i4q_forms[];
extern const struct i4q_form i4q_form_dq, i4q_form_dq_microsoft, i4q_form_cast, i4q_form_packed,
    i4q_form_nbits;

/* The first row with this word, and with this domain unless that is NULL; or NULL. */
const struct i4q_form *i4q_form_find(const char *word, const char *domain);

/* The domain of a row as users call it: "ai.onnx" is the standard one. */
const char *i4q_form_domain(const struct i4q_form *form);

/* The words of --decode, and of --dq-domain the domains of DequantizeLinear: word `index`, NULL behind the
 * last.
 */
const char *i4q_form_word(size_t index);
const char *i4q_form_dq_domain(size_t index);

/* The form for a weight: `wanted` where that can hold it, else the first row that can. */
const struct i4q_form *i4q_form_choose(const struct i4q_form *wanted, const struct i4q_weight *weight,
                                       const struct i4q_quantize_job *job);

/* Never fails: what cannot be told is left out. */
void i4q_storage_describe(struct i4q_arena *arena, const struct i4q_conv *conv, struct i4q_storage *storage);

/* Sets what the type of the stored elements (TensorProto.DataType) tells. */
void i4q_storage_set_type(struct i4q_storage *storage, int32_t type);

/* "per-tensor", ...; NULL for I4Q_NO_SCALE. */
const char *i4q_granularity_name(enum i4q_granularity granularity);

#endif
