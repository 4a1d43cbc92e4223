// SPDX-License-Identifier: Apache-2.0
#include "forms/nbits_function.h"

#include "forms/nbits_node.h"
#include "forms/nbits_steps.h"
#include "onnx/edit.h"

#define ATTRIBUTE_TYPE(name) ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##name
#define COUNT(array)         (sizeof(array) / sizeof *(array))

/* To `decoded` and `shape`, where all codes are elements of their own. */
static const struct i4q_nbits_step element_steps[] = {
    {"DequantizeLinear",
     {"W", "scales", "zero_points"},
     "decoded",
     {{"axis", "axis", ATTRIBUTE_TYPE(INT)}, {"block_size", "block_size", ATTRIBUTE_TYPE(INT)}}},
    {"Constant", {NULL}, "shape", {{"value_ints", "weight_shape", ATTRIBUTE_TYPE(INTS)}}},
    {NULL},
};

/* Before and behind i4q_nbits_codes, where some are in a stream. */
static const struct i4q_nbits_step shape_steps[] = {
    {"Constant", {NULL}, "shape", {{"value_ints", "weight_shape", ATTRIBUTE_TYPE(INTS)}}},
    {NULL},
};
static const struct i4q_nbits_step typed_steps[] = {
    {"DequantizeLinear",
     {"typed", "scales", "zero_points"},
     "decoded",
     {{"axis", "axis", ATTRIBUTE_TYPE(INT)}, {"block_size", "block_size", ATTRIBUTE_TYPE(INT)}}},
    {NULL},
};

static const struct i4q_nbits_step conv_steps[] = {
    {"Reshape", {"decoded", "shape"}, "weight"},
    {"Conv",
     {"X", "weight", "B"},
     "C",
     {{"strides", "strides", ATTRIBUTE_TYPE(INTS)},
      {"pads", "pads", ATTRIBUTE_TYPE(INTS)},
      {"dilations", "dilations", ATTRIBUTE_TYPE(INTS)},
      {"group", "group", ATTRIBUTE_TYPE(INT)}}},
    {"Constant", {NULL}, "activation", {{"value_int", "activation", ATTRIBUTE_TYPE(INT)}}},
    {NULL},
};

/* ---- nodes */

struct builder {
    struct i4q_model *model;
    bool failed; /* sticky: memory ran out */
};

static Onnx__NodeProto *add_node(struct builder *builder, struct i4q_list *nodes, const char *op,
                                 const char *const *inputs, size_t n, const char *output)
{
    Onnx__NodeProto *node =
        builder->failed ? NULL : i4q_edit_node(builder->model, op, NULL, inputs, n, &output, 1);
    builder->failed |= !node || !i4q_list_add(&builder->model->arena, nodes, node);
    return node;
}

/* The step, with an output of this name. */
static void add_step(struct builder *builder, struct i4q_list *nodes, const struct i4q_nbits_step *step,
                     const char *output)
{
    Onnx__NodeProto *node =
        add_node(builder, nodes, step->op, step->inputs, i4q_nbits_count_inputs(step), output);
    for (size_t i = 0; i < COUNT(step->references) && step->references[i].name; i++)
        builder->failed |=
            builder->failed || !i4q_edit_add_reference(builder->model, node, step->references[i].name,
                                                       step->references[i].type, step->references[i].source);
    if (step->literal)
        builder->failed |=
            builder->failed || !i4q_edit_add_int(builder->model, node, step->literal, step->value);
}

static void add_steps(struct builder *builder, struct i4q_list *nodes, const struct i4q_nbits_step *steps)
{
    for (const struct i4q_nbits_step *step = steps; step->op; step++)
        add_step(builder, nodes, step, step->output);
}

/* The steps of one activation; the last output has this name, or its own. */
static const char *add_activation(struct builder *builder, struct i4q_list *nodes, size_t activation,
                                  const char *output)
{
    const struct i4q_nbits_step *steps = i4q_nbits_activations[activation];
    size_t last = i4q_nbits_count_steps(activation) - 1;
    output = output ? output : steps[last].output;
    for (size_t i = 0; i <= last; i++)
        add_step(builder, nodes, &steps[i], i == last ? output : steps[i].output);
    return output;
}

/* ---- the choice between activations */

static Onnx__GraphProto *make_branch(struct builder *builder, const struct i4q_list *nodes,
                                     const char *output)
{
    struct i4q_arena *arena = &builder->model->arena;
    Onnx__GraphProto *graph = i4q_arena_alloc(arena, 1, sizeof *graph);
    Onnx__ValueInfoProto *value = i4q_arena_alloc(arena, 1, sizeof *value),
                         **values = i4q_arena_alloc(arena, 1, sizeof *values);
    Onnx__TypeProto *type = i4q_arena_alloc(arena, 1, sizeof *type);
    Onnx__TypeProto__Tensor *tensor = i4q_arena_alloc(arena, 1, sizeof *tensor);
    builder->failed |= !graph || !value || !values || !type || !tensor;
    if (builder->failed)
        return NULL;
    onnx__type_proto__tensor__init(tensor);
    tensor->has_elem_type = true;
    tensor->elem_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    onnx__type_proto__init(type);
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    onnx__value_info_proto__init(value);
    value->name = (char *)output;
    value->type = type;
    values[0] = value;
    onnx__graph_proto__init(graph);
    graph->name = (char *)"activation";
    graph->node = (Onnx__NodeProto **)nodes->items;
    graph->n_node = nodes->count;
    graph->output = values;
    graph->n_output = 1;
    return graph;
}

static char *format(struct builder *builder, const char *prefix, size_t number)
{
    char *name = i4q_arena_format(&builder->model->arena, "%s_%zu", prefix, number);
    builder->failed |= !name;
    return name;
}

/* Whether the attribute `activation` is this one. */
static const char *add_question(struct builder *builder, struct i4q_list *nodes, size_t activation)
{
    const char *code = format(builder, "code", activation), *answer = format(builder, "is", activation);
    Onnx__NodeProto *constant = add_node(builder, nodes, "Constant", NULL, 0, code);
    builder->failed |=
        builder->failed || !i4q_edit_add_int(builder->model, constant, "value_int", (int64_t)activation);
    add_node(builder, nodes, "Equal", (const char *[]){"activation", code}, 2, answer);
    return answer;
}

/* The activations of the set from `first` on, the last one without a question; an If inside an If, as deep as
 * there are activations. The last output has this name, or its own. */
static const char *add_choice(struct builder *builder, struct i4q_list *nodes, unsigned set, size_t first,
                              const char *output)
{
    struct i4q_list yes = {0}, no = {0};
    while (!(set >> first & 1))
        first++;
    if (!(set >> (first + 1)))
        return add_activation(builder, nodes, first, output);
    const char *answer = add_question(builder, nodes, first);
    output = output ? output : format(builder, "Y", first);
    Onnx__NodeProto *node = add_node(builder, nodes, "If", &answer, 1, output);
    Onnx__GraphProto *then = make_branch(builder, &yes, add_activation(builder, &yes, first, NULL));
    const char *other = add_choice(builder, &no, set, first + 1, NULL);
    Onnx__GraphProto *otherwise = make_branch(builder, &no, other);
    builder->failed |= builder->failed || !i4q_edit_add_graph(builder->model, node, "then_branch", then) ||
                       !i4q_edit_add_graph(builder->model, node, "else_branch", otherwise);
    return output;
}

/* ---- the function */

static const char *const inputs[] = {"X", "W", "scales", "zero_points", "B"}, *const outputs[] = {"Y"};
static const char *const required[] = {"weight_shape", "strides", "pads", "dilations"};

static const struct {
    const char *name;
    bool is_float;
    int64_t value;
} defaults[] = {
    {"group", false, 1},          {"bits", false, 4},
    {"axis", false, 0},           {"block_size", false, 0},
    {"accuracy_level", false, 0}, {"activation", false, 0},
    {"alpha", true, 0},           {"beta", true, 0},
    {"input_scale", true, 0},     {"input_zero_point", false, 0},
};

/* Attributes with a default are made as those of a node, which lives as long as a trial may look at it. */
static void set_defaults(struct builder *builder, Onnx__FunctionProto *function)
{
    Onnx__NodeProto *holder = i4q_edit_node(builder->model, "", "", NULL, 0, NULL, 0);
    builder->failed |= !holder;
    for (size_t i = 0; i < COUNT(defaults) && !builder->failed; i++)
        builder->failed |=
            defaults[i].is_float
                ? !i4q_edit_add_float(builder->model, holder, defaults[i].name, 0)
                : !i4q_edit_add_int(builder->model, holder, defaults[i].name, defaults[i].value);
    if (builder->failed)
        return;
    function->attribute_proto = holder->attribute;
    function->n_attribute_proto = holder->n_attribute;
}

static void set_import(struct builder *builder, Onnx__FunctionProto *function, int64_t opset)
{
    Onnx__OperatorSetIdProto *import = i4q_arena_alloc(&builder->model->arena, 1, sizeof *import);
    Onnx__OperatorSetIdProto **list = i4q_arena_alloc(&builder->model->arena, 1, sizeof *list);
    builder->failed |= !import || !list;
    if (builder->failed)
        return;
    onnx__operator_set_id_proto__init(import);
    import->domain = (char *)"";
    import->has_version = true;
    import->version = opset;
    list[0] = import;
    function->opset_import = list;
    function->n_opset_import = 1;
}

Onnx__FunctionProto *i4q_nbits_function(struct i4q_model *model, int64_t opset, unsigned features)
{
    struct builder builder = {.model = model};
    struct i4q_list nodes = {0};
    Onnx__FunctionProto *function = i4q_arena_alloc(&model->arena, 1, sizeof *function);
    if (!function)
        return NULL;
    onnx__function_proto__init(function);
    function->domain = (char *)i4q_nbits_domain;
    function->name = (char *)i4q_nbits_op;
    function->input = (char **)inputs;
    function->n_input = COUNT(inputs);
    function->output = (char **)outputs;
    function->n_output = COUNT(outputs);
    function->attribute = (char **)required;
    function->n_attribute = COUNT(required);
    bool streams = features & I4Q_NBITS_STREAMS;
    add_steps(&builder, &nodes, streams ? shape_steps : element_steps);
    if (streams) {
        add_steps(&builder, &nodes, i4q_nbits_codes);
        add_steps(&builder, &nodes, typed_steps);
    }
    add_steps(&builder, &nodes, conv_steps);
    add_choice(&builder, &nodes, features & (I4Q_NBITS_STREAMS - 1), 0, outputs[0]);
    set_defaults(&builder, function);
    set_import(&builder, function, opset);
    function->node = (Onnx__NodeProto **)nodes.items;
    function->n_node = nodes.count;
    return builder.failed ? NULL : function;
}
