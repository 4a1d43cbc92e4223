// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "onnx/maker.h"
#include "plan/convs.h"
#include "plan/planner.h"

#include <math.h>

enum { OPSET = 17, IR_VERSION = 8 };

/* ---- the model */

static void add_tensor(struct maker *maker, const char *name, const int64_t dims[4], const float *values)
{
    size_t count = 1;
    for (size_t i = 0; i < maker->graph.n_initializer; i++)
        if (strcmp(maker->graph.initializer[i]->name, name) == 0)
            return;
    for (size_t i = 0; i < 4 && dims[i]; i++)
        count *= (size_t)dims[i];
    float *wave = values ? NULL : maker_room(maker, count, sizeof *wave);
    for (size_t i = 0; wave && i < count; i++)
        wave[i] = sinf((float)i * 0.7f);
    maker_floats(maker, name, dims, values ? values : wave);
}

static void add_conv(struct maker *maker, const struct test_conv *spec)
{
    static const float zeros[64];
    char inputs[128], y[64], z[64], bias[64] = "";
    if (spec->bias)
        snprintf(bias, sizeof bias, "b_%s", spec->name);
    snprintf(inputs, sizeof inputs, "%s %s %s", spec->input ? spec->input : "x", spec->weight, bias);
    snprintf(y, sizeof y, "y_%s", spec->name);
    maker_node(maker, "Conv", inputs, y)->name = (char *)spec->name;
    add_tensor(maker, spec->weight, spec->dims, spec->values);
    if (spec->bias)
        add_tensor(maker, bias, (int64_t[4]){spec->dims[0]}, zeros);
    snprintf(inputs, sizeof inputs, "%s %s", y, spec->with ? spec->with : "");
    snprintf(z, sizeof z, "z_%s", spec->name);
    if (spec->then)
        maker_node(maker, spec->then, inputs, z);
}

static bool is_read(const Onnx__GraphProto *graph, const char *name)
{
    for (size_t n = 0; n < graph->n_node; n++)
        for (size_t k = 0; k < graph->node[n]->n_input; k++)
            if (strcmp(graph->node[n]->input[k], name) == 0)
                return true;
    return false;
}

static size_t pack(const struct test_conv *specs, size_t count, uint8_t **bytes)
{
    struct maker maker;
    maker_open(&maker, OPSET);
    maker.proto.ir_version = IR_VERSION;
    maker_input(&maker, "x", 4)->type->tensor_type->shape->dim[1]->dim_value = specs[0].dims[1];
    for (size_t i = 0; i < count; i++)
        add_conv(&maker, &specs[i]);
    for (size_t i = 0; i < maker.graph.n_node; i++) /* what nobody reads is an output */
        if (!is_read(&maker.graph, maker.graph.node[i]->output[0]))
            maker_output(&maker, maker.graph.node[i]->output[0], 0);
    size_t size = maker_pack(&maker, bytes);
    maker_close(&maker);
    return size;
}

/* ---- models and plans */

void convs_load(struct convs *convs, const struct test_conv *specs, size_t count)
{
    assert_true(count <= TEST_CONVS);
    *convs = (struct convs){
        .options = {
            .target = {.format = i4q_format_find("int4"), .form = &i4q_form_dq, .method = i4q_methods[0]},
            .kept = {.form = &i4q_form_dq, .method = i4q_methods[0]},
            .correct_bias = true,
            .threads = 1}};
    size_t size = pack(specs, count, &convs->bytes);
    if (!i4q_model_load_bytes(&convs->model, (struct i4q_view){convs->bytes, size}, "-", false,
                              &convs->error) ||
        !i4q_weights_find(&convs->model, i4q_ops_conv(), false, &convs->facts, &convs->error))
        fail_msg("%s", convs->error.message);
}

void convs_free(struct convs *convs)
{
    i4q_model_free(&convs->model);
    free(convs->bytes);
}

void convs_plan(struct convs *convs)
{
    if (!i4q_plan_make(&convs->facts, &convs->options, &convs->plan, &convs->error))
        fail_msg("%s", convs->error.message);
}

const char *convs_reasons(const struct i4q_plan *plan)
{
    static char words[TEST_CONVS * 32];
    *words = '\0';
    for (size_t i = 0; i < plan->n_rows; i++) {
        const char *word = i4q_reasons[plan->rows[i].reason].word;
        size_t length = strlen(words);
        snprintf(words + length, sizeof words - length, "%s%s", i ? " " : "", word ? word : "-");
    }
    return words;
}

const struct i4q_kernels *convs_kernels(void)
{
    struct i4q_error error = {0};
    return i4q_kernels_choose(NULL, &error);
}
