// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "inspect/requirement.h"

static bool holds(const char *text)
{
    Onnx__ModelProto proto = ONNX__MODEL_PROTO__INIT;
    proto.ir_version = 10;
    struct i4q_model model = {.proto = &proto};
    struct i4q_inspected rows[118] = {{0}};
    struct i4q_inspection inspection = {.model = &model, .rows = rows, .n_rows = 118, .opset = 21};
    for (size_t i = 0; i < 118; i++) {
        rows[i].storage.name = i < 82 ? "int4" : "float32";
        rows[i].storage.is_float = i >= 82;
    }
    struct i4q_requirement requirement;
    struct i4q_error error = {0};
    if (!i4q_requirement_parse(text, &requirement, &error))
        fail_msg("%s", error.message);
    i4q_requirement_check(&requirement, &inspection, 8500000);
    return requirement.holds;
}

static void relations_and_subjects(void **state)
{
    (void)state;
    static const char *const true_ones[] = {
        "int4>=82",    "int4==82",     "int4<=82",  "int4>81",  "float==36",  "int8==0",
        "uint4<1",     "packed-u8!=1", "packed4<1", "other==0", "size<9M",    "size<8.6M",
        "size<8301Ki", "size>=8.1Mi",  "opset>=21", "ir>=10",   "convs==118", "valid",
        "size==8500K", "size<1G",      "size<1Gi",  "int4=82",
    };
    static const char *const false_ones[] = {"int4>=83", "int4!=82",   "int4<82",  "int4>82", "float==0",
                                             "size<8M",  "size>8.2Mi", "opset>21", "ir<10",   "int4=81"};
    for (size_t i = 0; i < sizeof true_ones / sizeof *true_ones; i++)
        if (!holds(true_ones[i]))
            fail_msg("%s does not hold", true_ones[i]);
    for (size_t i = 0; i < sizeof false_ones / sizeof *false_ones; i++)
        if (holds(false_ones[i]))
            fail_msg("%s holds", false_ones[i]);
}

static void nonsense_is_wrong_usage(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",         "int4",    "int4>=", "int5==1",    "int4=>1",   "valid==1",  "int4>=x",   "size<-1",
        "size<9Mb", "ir>=10 ", "==1",    "int4==0x10", "int4==1e3", "int4==nan", "qonnx4==0", "qonnx==0"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct i4q_requirement requirement;
        struct i4q_error error = {0};
        if (i4q_requirement_parse(wrong[i], &requirement, &error))
            fail_msg("'%s' was taken", wrong[i]);
        assert_failed(error, I4Q_USAGE, wrong[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relations_and_subjects),
        cmocka_unit_test(nonsense_is_wrong_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
