// SPDX-License-Identifier: Apache-2.0
/*
 * A loaded model: the protobuf-c messages, an index of who makes and who reads each value, and the names in
 * use.
 *
 * Ownership: everything lives in `arena`, payloads (TensorProto.raw_data) alias the input file, and all of it
 * goes with i4q_model_free. Strings and messages may therefore be shared, moved and dropped freely.
 *
 * The index describes the model as it was loaded. Edits go to the messages; the index keeps pointing at them
 * and knows nothing of values that were added since.
 */
#ifndef INT4Q_ONNX_MODEL_H
#define INT4Q_ONNX_MODEL_H

#include "base/arena.h"
#include "base/table.h"
#include "platform/beneath.h"
#include "platform/file.h"

#include "onnx.pb-c.h"

#include <stdatomic.h>

struct i4q_scope;
struct i4q_trial;

/* One node, wherever it is. */
struct i4q_node {
    Onnx__NodeProto *proto;
    struct i4q_scope *scope; /* the graph or function body that holds it */
    uint32_t index;          /* of the model's nodes, in the order of the list */
    const struct i4q_node
        *next; /* all nodes of the model: in file order, a node before the bodies it holds */
};

/* One node reading one value. */
struct i4q_use {
    const struct i4q_node *node;
    size_t input; /* index into the node's inputs */
    const struct i4q_use *next;
};

/* One name and what it stands for. At most one of initializer, sparse and producer is there; `input` may come
 * with an initializer (a graph input with a default value). */
struct i4q_value {
    const char *name;
    struct i4q_scope *scope; /* that defines it */
    Onnx__TensorProto *initializer;
    Onnx__SparseTensorProto *sparse;
    const struct i4q_node *producer;
    uint32_t index;              /* of the model's values: for tables of what somebody knows about each */
    bool is_constant;            /* stored, or made by nodes of stored values alone */
    bool is_input;               /* listed in graph.input, or a formal input of a function */
    bool is_output;              /* listed in the outputs of a graph or function */
    const Onnx__TypeProto *type; /* from graph.input, graph.output or value_info; NULL when unknown */
    int32_t element_type;       /* TensorProto.DataType, where an upgrade of the opset found it out; else 0 */
    const struct i4q_use *uses; /* in file order, captures by nested bodies included */
    const struct i4q_use **last_use;
};

/* Pointers in an arena, for repeated message fields that grow. */
struct i4q_list {
    void **items;
    size_t count, capacity;
};

/* A graph (the main one, or one held by a node's attribute) or the body of a model-local function. */
struct i4q_scope {
    struct i4q_scope *parent;      /* whose values it sees; NULL for the main graph and for functions */
    const struct i4q_node *holder; /* the node that holds it, if it has a parent */
    Onnx__GraphProto *graph;       /* NULL for a function */
    Onnx__FunctionProto *function; /* NULL for a graph */
    uint32_t index;                /* of the model's scopes: for tables of what belongs to each */
    struct i4q_node *nodes;        /* [n_nodes] its own, in file order */
    size_t n_nodes;
    struct i4q_table values; /* name -> struct i4q_value */
    struct i4q_list
        initializers;       /* of the graph, while there is room for more: see i4q_edit_add_initializer */
    struct i4q_scope *next; /* all scopes of the model, in file order, a parent before its children */
};

struct i4q_model {
    const char *path; /* as given by the user; borrowed */
    struct i4q_input input;
    struct i4q_external external; /* the files with its external data */
    struct i4q_arena arena;
    Onnx__ModelProto *proto;
    struct i4q_scope *scopes;       /* the main graph, linked to all others */
    const struct i4q_node *nodes;   /* the first node, linked to all others */
    const struct i4q_node **sorted; /* [n_nodes] each behind those that it reads from; of a body, behind all
                                       of the graph that holds it */
    uint32_t n_values, n_nodes, n_scopes;
    atomic_size_t unreleased;   /* see i4q_model_release */
    struct i4q_table names;     /* every value and node name of the model, bodies and functions included */
    struct i4q_table new_names; /* those that were given since */
    struct i4q_trial *trial;    /* that is going on; NULL: what is done is meant */
};

/* Reads and indexes the model at `path` ("-" is standard input). External data is read from beneath the
 * model's directory, through links only if told so; a tensor that has some stays marked (data_location), with
 * its raw_data pointing into the mapped file. On failure the model is empty; the messages begin with the
 * object concerned, not with the path. */
bool i4q_model_load(struct i4q_model *model, const char *path, bool follow_symlinks,
                    struct i4q_error *error) I4Q_MUST_CHECK;

/* The same from bytes, which must outlive the model; `path` is where they came from. */
bool i4q_model_load_bytes(struct i4q_model *model, struct i4q_view bytes, const char *path,
                          bool follow_symlinks, struct i4q_error *error) I4Q_MUST_CHECK;

/* Bytes of the model's file and of those with its external data. */
size_t i4q_model_bytes(const struct i4q_model *model);

/* Tells that `bytes` more of the mapped payloads have been read. From time to time all of their pages are
 * given back (they stay in the page cache), so that a model larger than memory never fills it. Thread-safe.
 */
void i4q_model_release(struct i4q_model *model, size_t bytes);

/* Calls `each` for every tensor of the model, wherever the schema allows one, in file order, until it returns
 * false. */
bool i4q_model_each_tensor(struct i4q_model *model, bool (*each)(void *context, Onnx__TensorProto *tensor),
                           void *context) I4Q_MUST_CHECK;

void i4q_model_free(struct i4q_model *model);

/* What `name` means inside `scope`: its own values first, then those of the enclosing graphs. NULL if
 * nothing. */
struct i4q_value *i4q_scope_resolve(const struct i4q_scope *scope, const char *name);

/* An optional string of a message: "" where it is absent. */
const char *i4q_text(const char *string);

/* "" and "ai.onnx" are two spellings of the standard domain. */
bool i4q_is_standard_domain(const char *domain);

/* Whether the node is `op_type` of the standard domain. */
bool i4q_node_is(const Onnx__NodeProto *node, const char *op_type);

/* The attribute called `name`, or NULL. */
Onnx__AttributeProto *i4q_node_attribute(const Onnx__NodeProto *node, const char *name);

/* The version under which `imports` has the standard domain, 0 if it has not; the highest if it has it twice.
 */
int64_t i4q_opset_version(Onnx__OperatorSetIdProto *const *imports, size_t n);

/* The version of the standard domain under which the nodes of a scope are to be read: that of the function or
 * of the model which it is part of. */
int64_t i4q_scope_opset(const struct i4q_model *model, const struct i4q_scope *scope);

/* `base` if that name is free in the whole model, else base_1, base_2, ...; the result is taken from then on.
 * NULL when memory runs out. */
char *i4q_model_new_name(struct i4q_model *model, const char *base) I4Q_MUST_CHECK;

#endif
