// SPDX-License-Identifier: Apache-2.0
/*
 * Weights that stand for integers already, as other tools leave them: floats behind a Quant node (QONNX,
 * Brevitas, older FINN) or behind QuantizeLinear and DequantizeLinear; integers that a Clip narrows before
 * DequantizeLinear (Brevitas QCDQ); bytes in which fewer bits would do; integers in a float tensor that the
 * graph's annotation tells of (FINN). To quantize them again would cost accuracy that training has paid for;
 * to store the integers costs nothing.
 *
 * Here is where such a weight comes from, as origin_find.h reads it off the nodes. Its numbers are read by
 * codes.h.
 */
#ifndef INT4Q_FORMS_ORIGIN_H
#define INT4Q_FORMS_ORIGIN_H

#include "forms/numbers.h"
#include "onnx/graph.h"
#include "onnx/tensor.h"
#include "quantize/quant.h"

enum i4q_dialect {
    I4Q_DIALECT_QUANT,   /* Quant, IntQuant; FloatQuant too, which is always at fault */
    I4Q_DIALECT_BIPOLAR, /* BipolarQuant */
    I4Q_DIALECT_QCDQ,    /* (QuantizeLinear,) Clip, DequantizeLinear */
    I4Q_DIALECT_QDQ,     /* QuantizeLinear, DequantizeLinear */
    I4Q_DIALECT_INT8,    /* bytes, DequantizeLinear: what we write ourselves, unless 4 bits would do */
    I4Q_DIALECT_FINN,    /* a float tensor of integers, "finn_datatype" */
};

struct i4q_dialect_row {
    const char *word;  /* in JSON */
    const char *label; /* for people */
};
extern const struct i4q_dialect_row i4q_dialects[];

/* Why the integers cannot be stored without a change of the numbers. */
enum i4q_fault {
    I4Q_FAULT_NONE,
    I4Q_FAULT_COMPUTED, /* what is quantized, or clips it, is not stored */
    I4Q_FAULT_DTYPE,    /* it, or the scale, is of another type than the dialect has */
    I4Q_FAULT_EMPTY,
    I4Q_FAULT_SCALE_COMPUTED,
    I4Q_FAULT_SCALE_SHAPE, /* differs along more than one axis */
    I4Q_FAULT_SCALE_VALUE, /* not finite and positive */
    I4Q_FAULT_ZERO_POINT,  /* no integer, along another axis, or beyond all types */
    I4Q_FAULT_BIT_WIDTH,   /* computed, several, no integer, or more than 8 */
    I4Q_FAULT_ROUNDING,    /* of no known name */
    I4Q_FAULT_FLOAT_QUANT, /* small floats rather than integers */
    I4Q_FAULT_NON_FINITE,  /* a NaN has no code */
};

/* A number for all elements, or one for each index along an axis. */
struct i4q_parameter {
    const Onnx__TensorProto *proto; /* NULL: there is none */
    struct i4q_numbers numbers;
    size_t axis; /* where there is more than one number */
};

/* How elements become codes. */
enum i4q_coding {
    I4Q_CODING_STORED,          /* they are codes */
    I4Q_CODING_QUANT,           /* by i4q_quant_code */
    I4Q_CODING_QUANTIZE_LINEAR, /* rint(x / scale) + zero point */
    I4Q_CODING_TRUNC, /* rint(x / scale) / shift, clamped, and rounded as quant says; of activations */
};

struct i4q_origin {
    enum i4q_dialect dialect;
    unsigned bits; /* of the codes, as the nodes tell; 0: they do not */
    enum i4q_fault fault;
    const char *flaw;        /* why no runtime could make sense of the node; NULL: it could */
    struct i4q_value *value; /* what the integers stand for: the Conv's weight, or what nodes that only move
                                elements make the weight of */
    bool reads_input;        /* a parameter is a graph input with a default value */

    const struct i4q_value *stored; /* the elements; a graph input with a default value counts as constant,
                                       since exporters list weights, and training has put them on the grid */
    const Onnx__TensorProto *proto; /* the same; NULL where there is a fault: not stored */
    struct i4q_tensor tensor;
    struct i4q_numbers elements;

    enum i4q_coding coding;
    struct i4q_quant quant;
    struct i4q_parameter code_scale, code_zero; /* of the coding */
    float low, high;                            /* clamp the codes */
    float shift;                                /* of Trunc: a power of two */

    struct i4q_parameter scale, zero; /* value = (code - zero) * scale; without them 1 and 0 */
    bool half;                        /* the values are FLOAT16 */
    size_t axis;                      /* along which parameters differ; else that of the Conv's channels */
};

#endif
