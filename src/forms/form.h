// SPDX-License-Identifier: Apache-2.0
/*
 * How integers stand for a weight in a graph. Every way is a row of one table: it says which weights it can
 * hold, what it takes in the file, what it needs of the model, writes it, and knows it again when it meets it
 * in a model. A new way is a file with a row, and the row's name in forms.c.
 */
#ifndef INT4Q_FORMS_FORM_H
#define INT4Q_FORMS_FORM_H

#include "forms/emit.h"
#include "forms/storage.h"
#include "onnx/layers.h"

/* When ONNX Runtime makes floats of the codes: on every run, once at load, never where our library is, or
 * never since it computes from the INT8 that it makes of them at load. */
enum i4q_execution { I4Q_DECODES_EVERY_RUN, I4Q_DECODES_ONCE, I4Q_COMPUTES, I4Q_FUSES };

struct i4q_form {
    const char *word;   /* as in --decode and in reports; NULL: not chosen by that */
    const char *domain; /* of its nodes, which the model then imports in version 1; NULL: the standard one */
    enum i4q_execution execution;
    bool has_input_ranges; /* its operators quantize what they read, to 8 bits: see i4q_emission.ranges */

    /* Whether it can hold such a weight; and what is said of the weights that it cannot. NULL: nothing. */
    const char *unheld;
    bool (*holds)(const struct i4q_weight *weight, const struct i4q_quantize_job *job);

    /* Whether it can hold FLOAT16 scales of FLOAT weights. */
    bool narrows;

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

    /* Whether a node, the first that reads what is stored, begins a weight of this form: a decoder, or the
     * operator itself where it takes integers. */
    bool (*begins)(const struct i4q_node *node);
    bool is_operator;

    /* The operators of its nodes behind that one, nodes that only move elements aside; ends with NULL. NULL:
     * none. */
    const char *const *steps;

    /* Fills `storage`, of which the name is set, from a weight whose decoder begins this form. Touches no
     * payload but that of shapes. False: the nodes behind it are not those of the form, and no more can be
     * told than what was set. */
    bool (*recognise)(struct i4q_arena *arena, const struct i4q_conv *conv, struct i4q_storage *storage);
};

extern const struct i4q_form i4q_form_dq, i4q_form_dq_microsoft, i4q_form_cast, i4q_form_packed,
    i4q_form_nbits, i4q_form_qonnx, i4q_form_fused;

#endif
