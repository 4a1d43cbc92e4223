// SPDX-License-Identifier: Apache-2.0
/*
 * The index of a model's messages: who makes and who reads each value, scope by scope, and the names in use.
 *
 * It describes the messages as they were loaded. Edits go to these; the index keeps pointing at them and
 * knows nothing of values that were added since.
 */
#ifndef INT4Q_ONNX_GRAPH_H
#define INT4Q_ONNX_GRAPH_H

#include "base/list.h"
#include "base/table.h"
#include "onnx/node.h"

struct i4q_scope;

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

struct i4q_graph {
    struct i4q_scope *scopes;       /* the main graph, linked to all others */
    const struct i4q_node *nodes;   /* the first node, linked to all others */
    const struct i4q_node **sorted; /* [n_nodes] each behind those that it reads from; of a body, behind all
                                       of the graph that holds it */
    uint32_t n_values, n_nodes, n_scopes;
    struct i4q_table names; /* those of nodes, and of values in bodies and functions: in use, as all values
                               of the main graph are */
    struct i4q_table new_names; /* those that were given since */
};

/* Fills the index of messages that are complete; it is in the arena. I4Q_MODEL: two values of one name. */
bool i4q_graph_index(struct i4q_arena *arena, const Onnx__ModelProto *proto, struct i4q_graph *graph,
                     struct i4q_error *error) I4Q_MUST_CHECK;

/* What `name` means inside `scope`: its own values first, then those of the enclosing graphs. NULL if
 * nothing. */
struct i4q_value *i4q_scope_resolve(const struct i4q_scope *scope, const char *name);

/* Whether the node has such an input, and what that names there; NULL: it has none, or nothing that is. */
bool i4q_has_input(const struct i4q_node *node, size_t input);
struct i4q_value *i4q_input_value(const struct i4q_node *node, size_t input);

/* What the node makes; NULL when it has no such output. The other is the only one: NULL when there are more.
 */
struct i4q_value *i4q_output_value(const struct i4q_node *node, size_t output);
struct i4q_value *i4q_sole_output(const struct i4q_node *node);

/* What a declared type says where it is a tensor's; NULL when it is not, or nothing tells. */
const Onnx__TypeProto__Tensor *i4q_tensor_type(const Onnx__TypeProto *type);

/* The value that input 0 of the node that makes it names; NULL when there is none. */
struct i4q_value *i4q_value_operand(const struct i4q_value *value);

/* The node that makes the value and nothing else; NULL when there is none. The value may be NULL. */
const struct i4q_node *i4q_sole_producer(const struct i4q_value *value);

/* The dense tensor that a value is stored as: its initializer, or that of the Constant node that makes it; or
 * NULL. */
Onnx__TensorProto *i4q_value_tensor(const struct i4q_value *value);

/* `base` itself, which must live as long as the model, if that name is free in all of it, else base_1,
 * base_2, ...; the result is taken from then on. NULL when memory runs out. */
char *i4q_graph_new_name(struct i4q_graph *graph, const char *base) I4Q_MUST_CHECK;

#endif
