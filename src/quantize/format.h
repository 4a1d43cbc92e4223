// SPDX-License-Identifier: Apache-2.0
/* The storage formats of quantized weights, one row of a table each: what codes are. How they stand in a
 * graph is told by forms/form.h. */
#ifndef INT4Q_QUANTIZE_FORMAT_H
#define INT4Q_QUANTIZE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct i4q_format {
    const char *name; /* as in --format and in the reports */
    int32_t type;     /* TensorProto.DataType of what is stored */
    unsigned bits;    /* of a code; codes are one stream, see base/bits.h */
    int code_min, code_max;
    int zero;    /* the zero point of symmetric codes, also the code of 0 */
    int qmax;    /* symmetric codes span zero - qmax to zero + qmax */
    bool packed; /* the stored type is that of bytes, which operators have to take apart */
    bool floats; /* what is stored are the numbers that the codes stand for, see forms/qonnx.h */
    bool fine;   /* so many codes that the choice of the method makes little difference */
};

/* The rows; ends with one whose name is NULL. The first is the default. */
extern const struct i4q_format i4q_formats[];

/* Bytes without a sign: one that weights come in, and none that is asked for. */
extern const struct i4q_format i4q_format_uint8;

/* The names of all formats, and of the integers that are fine, behind "float": word `index`, NULL behind the
 * last. */
const char *i4q_format_word(size_t index);
const char *i4q_format_keep_word(size_t index);

/* The format called `name`, or NULL. */
const struct i4q_format *i4q_format_find(const char *name);

/* The packed format with codes of so many bits, or NULL. */
const struct i4q_format *i4q_format_packed(unsigned bits);

/* The format with as many bits that stores floats where `other` does, and integers where that does. */
const struct i4q_format *i4q_format_of_kind(const struct i4q_format *format, const struct i4q_format *other);

/* Whether a tensor of the type holds the codes as they are. */
bool i4q_format_is_integers(const struct i4q_format *format);

/* Bytes that n codes occupy: there is no padding between rows. */
size_t i4q_format_bytes(const struct i4q_format *format, size_t n);

/* Code i of a payload; stores into zeros. */
int i4q_format_load(const struct i4q_format *format, const uint8_t *codes, size_t i);
void i4q_format_store(const struct i4q_format *format, uint8_t *codes, size_t i, int code);

#endif
