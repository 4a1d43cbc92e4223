// SPDX-License-Identifier: Apache-2.0
/* FINN's way to tell that the floats of a tensor are integers: an annotation of the graph, in which the
 * tensor's "finn_datatype" is INT4, UINT2, BIPOLAR, ... */
#ifndef INT4Q_FORMS_FINN_H
#define INT4Q_FORMS_FINN_H

#include "onnx/graph.h"

/* The width and the range of a type, as "INT4" or "BIPOLAR"; false: it is none of integers. */
bool i4q_finn_type(const char *type, unsigned *bits, double *low, double *high);

/* The same of what a value is annotated with; false: the graph does not tell that the value is some. */
bool i4q_finn_find(const struct i4q_value *value, unsigned *bits, double *low, double *high);

#endif
