// SPDX-License-Identifier: Apache-2.0
/* Building and changing messages of a loaded model. All memory comes from the model's arena; what a call
 * replaces stays there until the model goes. Functions return NULL or false only when memory runs out. */
#ifndef INT4Q_ONNX_EDIT_H
#define INT4Q_ONNX_EDIT_H

#include "onnx/model.h"

/* To be called before a message of the model is changed, in itself or in the order of what it holds (not what
 * that holds in turn), so that a trial can take it back. The functions below do so where they take a model.
 */
bool i4q_edit_open(struct i4q_model *model, ProtobufCMessage *message) I4Q_MUST_CHECK;

/* A node with the given inputs and outputs (arrays are copied, strings are not) in the standard domain. */
Onnx__NodeProto *i4q_edit_node(struct i4q_model *model, const char *op_type, const char *name,
                               const char *const *inputs, size_t n_inputs, const char *const *outputs,
                               size_t n_outputs) I4Q_MUST_CHECK;

/* Adds attributes. Type and value are always written, also where the value is 0. */
bool i4q_edit_add_int(struct i4q_model *model, Onnx__NodeProto *node, const char *name,
                      int64_t value) I4Q_MUST_CHECK;
bool i4q_edit_add_ints(struct i4q_model *model, Onnx__NodeProto *node, const char *name,
                       const int64_t *values, size_t n) I4Q_MUST_CHECK;
bool i4q_edit_add_float(struct i4q_model *model, Onnx__NodeProto *node, const char *name,
                        float value) I4Q_MUST_CHECK;
bool i4q_edit_add_graph(struct i4q_model *model, Onnx__NodeProto *node, const char *name,
                        Onnx__GraphProto *graph) I4Q_MUST_CHECK;
bool i4q_edit_add_string(struct i4q_model *model, Onnx__NodeProto *node, const char *name,
                         const char *value) I4Q_MUST_CHECK;
bool i4q_edit_add_tensor(struct i4q_model *model, Onnx__NodeProto *node, const char *name,
                         Onnx__TensorProto *value) I4Q_MUST_CHECK;

/* In the body of a function: the attribute has the value of the function's attribute `source`. */
bool i4q_edit_add_reference(struct i4q_model *model, Onnx__NodeProto *node, const char *name,
                            Onnx__AttributeProto__AttributeType type, const char *source) I4Q_MUST_CHECK;

/* Adds an attribute that other nodes may have too. */
bool i4q_edit_add_attribute(struct i4q_model *model, Onnx__NodeProto *node,
                            Onnx__AttributeProto *attribute) I4Q_MUST_CHECK;

/* Takes the attribute out of the node, which is open. */
void i4q_edit_remove_attribute(Onnx__NodeProto *node, const Onnx__AttributeProto *attribute);

/* Sets input `index`, filling the places before it with empty names where the list is shorter. */
bool i4q_edit_set_input(struct i4q_model *model, Onnx__NodeProto *node, size_t index,
                        const char *value) I4Q_MUST_CHECK;

/* A tensor whose raw_data borrows `size` bytes of `data`. */
Onnx__TensorProto *i4q_edit_tensor(struct i4q_model *model, const char *name, int32_t data_type,
                                   const int64_t *dims, size_t n_dims, const void *data,
                                   size_t size) I4Q_MUST_CHECK;

/* The same with zeroed bytes for the caller to fill. */
Onnx__TensorProto *i4q_edit_blank_tensor(struct i4q_model *model, const char *name, int32_t data_type,
                                         const int64_t *dims, size_t n_dims, size_t size) I4Q_MUST_CHECK;

/* What stands for an external tensor is external too, unless it is small: marks it so. */
enum { I4Q_EXTERNAL_THRESHOLD = 1024 };
void i4q_edit_follow_layout(Onnx__TensorProto *tensor, const Onnx__TensorProto *original);

/* The same for the one tensor that stands for the original itself: its documentation and metadata go along.
 */
void i4q_edit_take_place(Onnx__TensorProto *tensor, const Onnx__TensorProto *original);

/* Adds an initializer to the scope's graph; many cost no more than each alone. */
bool i4q_edit_add_initializer(struct i4q_model *model, struct i4q_scope *scope,
                              Onnx__TensorProto *tensor) I4Q_MUST_CHECK;

/* Imports version 1 of a domain, unless the model imports the domain already. */
bool i4q_edit_import(struct i4q_model *model, const char *domain) I4Q_MUST_CHECK;

/* Adds a model-local function, in the place of one of that domain, name and overload if there is one. */
bool i4q_edit_set_function(struct i4q_model *model, Onnx__FunctionProto *function) I4Q_MUST_CHECK;

#endif
