// SPDX-License-Identifier: Apache-2.0
/* What a node says of itself: operator, domain, attributes. */
#ifndef INT4Q_ONNX_NODE_H
#define INT4Q_ONNX_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "onnx.pb-c.h"

/* An optional string of a message: "" where it is absent. */
const char *i4q_text(const char *string);

/* "" and "ai.onnx" are two spellings of the standard domain. */
bool i4q_is_standard_domain(const char *domain);

/* Whether the node is `op_type` of the standard domain. */
bool i4q_node_is(const Onnx__NodeProto *node, const char *op_type);

/* Whether it is `op_type` of this domain; NULL is the standard one. */
bool i4q_node_is_of(const Onnx__NodeProto *node, const char *domain, const char *op_type);

/* How messages call a node: its name, or its first output where it has none. */
const char *i4q_node_label(const Onnx__NodeProto *node);

/* The attribute called `name`, or NULL; and its integer, or another one where there is none. */
Onnx__AttributeProto *i4q_node_attribute(const Onnx__NodeProto *node, const char *name);
int64_t i4q_node_int(const Onnx__NodeProto *node, const char *name, int64_t otherwise);

/* The version under which `imports` has the standard domain, 0 if it has not; the highest if it has it twice.
 */
int64_t i4q_opset_version(Onnx__OperatorSetIdProto *const *imports, size_t n);

#endif
