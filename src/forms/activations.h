// SPDX-License-Identifier: Apache-2.0
/* What a model does to the numbers that pass through it. */
#ifndef INT4Q_FORMS_ACTIVATIONS_H
#define INT4Q_FORMS_ACTIVATIONS_H

#include "onnx/graph.h"

/* Whether some node quantizes what is no constant. */
bool i4q_has_quantized_activations(const struct i4q_graph *graph);

#endif
