// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "report/summary.h"

#include <math.h>

enum { MOST = 40 };

static Onnx__NodeProto protos[MOST];
static struct i4q_node nodes[MOST];
static struct i4q_value weights[MOST];
static struct i4q_conv convs[MOST];
static const struct i4q_conv_op op = {.op_type = "Conv"};

/* Convs of these nodes and weights. */
static void set(size_t index, const char *node, const char *weight)
{
    protos[index] = (Onnx__NodeProto)ONNX__NODE_PROTO__INIT;
    protos[index].name = (char *)node;
    nodes[index] = (struct i4q_node){.proto = &protos[index]};
    weights[index] = (struct i4q_value){.name = weight};
    convs[index] = (struct i4q_conv){.node = &nodes[index], .op = &op, .weight = &weights[index]};
}

static void assert_stage(const struct i4q_stages *stages, size_t index, const char *name)
{
    assert_int_equal(stages->items[index].length, strlen(name));
    assert_memory_equal(stages->items[index].path, name, strlen(name));
}

static void stages_have_as_many_words_as_fit(void **state)
{
    static char names[MOST][32];
    struct i4q_stages stages;
    for (size_t i = 0; i < MOST; i++) {
        snprintf(names[i], sizeof names[i], "/model.%zu/cv%zu/Conv", i / 4, i % 4);
        set(i, names[i], "w");
    }
    i4q_stages_find(convs, MOST, &stages);
    assert_int_equal(stages.count, 10);
    assert_stage(&stages, 0, "model.0");
    assert_stage(&stages, 9, "model.9");
    assert_int_equal(i4q_stage_of(&stages, &convs[39]), 9);
    i4q_stages_find(convs, 8, &stages);
    assert_int_equal(stages.count, 8);
    assert_stage(&stages, 1, "model.0/cv1/Conv");
}

static void weights_tell_where_nodes_do_not(void **state)
{
    struct i4q_stages stages;
    set(0, "Conv_0", "stem.conv.weight");
    set(1, "Conv_1", "head.conv.weight");
    set(2, "Conv_2", "onnx::Conv_17");
    i4q_stages_find(convs, 3, &stages);
    assert_int_equal(stages.count, 3);
    assert_stage(&stages, 0, "stem.conv.weight");
    assert_stage(&stages, 2, "Conv_2");
}

static void too_many_names_are_no_stages(void **state)
{
    static char names[MOST][32];
    struct i4q_stages stages;
    for (size_t i = 0; i < MOST; i++) {
        snprintf(names[i], sizeof names[i], "Conv_%zu", i);
        set(i, names[i], "w");
    }
    i4q_stages_find(convs, MOST, &stages);
    assert_int_equal(stages.count, 0);
}

static void the_worst_come_first(void **state)
{
    static const double decibels[] = {20, 7, NAN, 30, 8, 7, 25, 9};
    static char text[2048];
    struct i4q_summary summary;
    for (size_t i = 0; i < 8; i++)
        set(i, i % 2 ? "/b/Conv" : "/a/Conv", "w");
    i4q_summary_begin(&summary, convs, 8);
    for (size_t i = 0; i < 8; i++)
        i4q_summary_add(&summary, &convs[i],
                        &(struct i4q_summed){i == 2 ? "float32" : "int4", 10, 40, 5, decibels[i]});
    assert_int_equal(summary.n_worst, 5);
    static const size_t order[] = {1, 5, 4, 7, 0};
    for (size_t i = 0; i < 5; i++)
        assert_ptr_equal(summary.worst[i].conv, &convs[order[i]]);
    FILE *stream = fmemopen(text, sizeof text, "w");
    i4q_summary_stages(&summary, true, true, &(struct i4q_look){0}, stream);
    fclose(stream);
    /* ratios are averaged as noise: of 20, 8 and 25 dB (10^-2 + 10^-0.8 + 10^-2.5) / 3 */
    assert_non_null(
        strstr(text, "\na/Conv      4       40  3 int4, 1 float32           160     20    12.42\n"));
    assert_non_null(
        strstr(text, "\nb/Conv      4       40  int4                        160     20     8.81\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stages_have_as_many_words_as_fit),
        cmocka_unit_test(weights_tell_where_nodes_do_not),
        cmocka_unit_test(too_many_names_are_no_stages),
        cmocka_unit_test(the_worst_come_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
