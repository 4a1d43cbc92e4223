// SPDX-License-Identifier: Apache-2.0
/* Each form, written into a loaded model, costs what it says and is known again. */
#include "testing.h"

#include "forms/convs.h"
#include "forms/forms.h"
#include "forms/reader.h"
#include "forms/weights.h"
#include "quantize/quantize.h"

#include <math.h>

static struct i4q_model model;
static struct i4q_weights weights;

static int setup(void **state)
{
    struct i4q_error error = {0};
    if (!i4q_model_load(&model, TESTS "/data/good-detector.onnx", false, &error) ||
        !i4q_weights_find(&model, i4q_ops_conv(), false, &weights, &error))
        fail_msg("%s", error.message);
    return 0;
}

static int teardown(void **state)
{
    i4q_model_free(&model);
    return 0;
}

static void *buffer(size_t size)
{
    void *made = i4q_arena_alloc(&model.arena, 1, size); /* aligned for what has this size */
    assert_non_null(made);
    return made;
}

/* The job of a weight, done. */
static struct i4q_quantize_job *quantized(const struct i4q_weight *weight, const char *format,
                                          const struct i4q_method *method, size_t block)
{
    struct i4q_error error = {0};
    struct i4q_quantize_job *job = buffer(sizeof *job);
    *job = (struct i4q_quantize_job){.format = i4q_format_find(format),
                                     .outer = 1,
                                     .channels = i4q_weight_channels(weight),
                                     .inner = i4q_weight_inner(weight),
                                     .block = block,
                                     .asymmetric = method->asymmetric,
                                     .method = method,
                                     .weights = weight->payload.data};
    job->codes = buffer(i4q_job_code_bytes(job));
    job->scales = buffer(i4q_job_scale_bytes(job));
    job->zero_points = job->asymmetric ? buffer(i4q_job_zero_bytes(job)) : NULL;
    const struct i4q_quantize_options options = {.kernels = i4q_kernels_choose(NULL, &error), .threads = 1};
    assert_true(i4q_quantize(&options, job, 1, &error));
    return job;
}

static struct i4q_emission emit(const struct i4q_form *form, const struct i4q_weight *weight,
                                const struct i4q_quantize_job *job)
{
    struct i4q_table *shared = buffer(sizeof *shared);
    i4q_table_init(shared, &model.arena);
    struct i4q_emission emission = {
        .model = &model, .weight = weight, .job = job, .opset = 21, .shared = shared};
    form->emit(&emission);
    assert_false(emission.failed);
    return emission;
}

/* Puts what was emitted in the place of the weight and indexes the model anew. */
static void put_in(const struct i4q_emission *emission)
{
    Onnx__GraphProto *graph = model.proto->graph;
    struct i4q_list nodes = {0}, tensors = {0};
    struct i4q_error error = {0};
    for (size_t i = 0; i < emission->nodes.count; i++)
        assert_true(i4q_list_add(&model.arena, &nodes, emission->nodes.items[i]));
    for (size_t i = 0; i < graph->n_node; i++)
        assert_true(i4q_list_add(&model.arena, &nodes, graph->node[i]));
    for (size_t i = 0; i < graph->n_initializer; i++)
        if (graph->initializer[i] != emission->weight->proto)
            assert_true(i4q_list_add(&model.arena, &tensors, graph->initializer[i]));
    for (size_t i = 0; i < emission->tensors.count; i++)
        assert_true(i4q_list_add(&model.arena, &tensors, emission->tensors.items[i]));
    graph->node = (Onnx__NodeProto **)nodes.items;
    graph->n_node = nodes.count;
    graph->initializer = (Onnx__TensorProto **)tensors.items;
    graph->n_initializer = tensors.count;
    if (!i4q_model_index(&model, &error))
        fail_msg("%s", error.message);
}

/* What the file holds now stands for float(code - zero point) * scale of the job. */
static void check_decoded(const struct i4q_storage *storage, const struct i4q_quantize_job *job)
{
    struct i4q_stored stored;
    struct i4q_error error = {0};
    float decoded[4096];
    size_t count = i4q_job_count(job);
    assert_true(count <= 4096 && i4q_stored_open(&model.arena, storage, &stored, &error));
    assert_int_equal(stored.codes.count, count);
    i4q_stored_decode(&stored, i4q_kernels_choose(NULL, &error), 0, count, decoded);
    for (size_t i = 0; i < count; i++) {
        size_t channel = i / job->inner, block = job->block ? i % job->inner / job->block : 0;
        struct i4q_grid grid = i4q_job_load_grid(job, channel * i4q_job_blocks(job) + block);
        int code = i4q_format_load(job->format, job->codes, i);
        assert_true(decoded[i] == (float)(code - grid.zero) * grid.scale);
    }
}

static void round_trip(const struct i4q_form *form, const char *format, const struct i4q_method *method,
                       size_t block)
{
    struct i4q_conv *convs;
    size_t count;
    struct i4q_error error = {0};
    struct i4q_storage storage;
    setup(NULL);
    const struct i4q_weight *weight = &weights.items[1];
    const struct i4q_quantize_job *job = quantized(weight, format, method, block);
    assert_true(form->holds(weight, job));
    struct i4q_emission emission = emit(form, weight, job);
    assert_string_equal(((Onnx__NodeProto *)emission.nodes.items[emission.nodes.count - 1])->output[0],
                        weight->value->name);
    put_in(&emission);
    assert_true(i4q_convs_find(&model, i4q_ops_conv(), 0, &convs, &count, &error));
    assert_int_equal(convs[1].source, I4Q_SOURCE_DECODED);
    i4q_storage_describe(&model.arena, &convs[1], &storage);
    assert_string_equal(storage.name, format);
    assert_int_equal(storage.bytes, form->bytes(job));
    assert_int_equal(storage.granularity, block ? I4Q_BLOCK : I4Q_PER_CHANNEL);
    check_decoded(&storage, job);
    teardown(NULL);
}

static void forms_are_known_again(void **state)
{
    static const struct i4q_method absmax = {"", I4Q_SCALE_ABSMAX, false, I4Q_ROUND_NEAREST, false},
                                   range = {"", I4Q_SCALE_RANGE, true, I4Q_ROUND_NEAREST, false};
    static const char *const formats[] = {"int4", "uint4"}, *const packed[] = {"packed-u8", "packed2"};
    for (size_t i = 0; i < 2; i++) {
        round_trip(&i4q_form_dq, formats[i], &absmax, 0);
        round_trip(&i4q_form_dq, formats[i], &range, 4);
        round_trip(&i4q_form_dq_microsoft, formats[i], &range, 0);
        round_trip(&i4q_form_cast, formats[i], &absmax, 0);
        round_trip(&i4q_form_cast, formats[i], &range, 0);
        round_trip(&i4q_form_fused, formats[i], &absmax, 0);
        round_trip(&i4q_form_fused, formats[i], &range, 0);
        round_trip(&i4q_form_packed, packed[i], &absmax, 0);
        round_trip(&i4q_form_packed, packed[i], &range, 0);
    }
    round_trip(&i4q_form_dq, "int8", &absmax, 0);
}

/* The same messages, but for the bytes of payloads. */
static void a_job_without_numbers_takes_as_much(void **state)
{
    static const struct i4q_method range = {"", I4Q_SCALE_RANGE, true, I4Q_ROUND_NEAREST, false};
    const struct i4q_form *const forms[] = {&i4q_form_dq, &i4q_form_cast};
    for (size_t f = 0; f < 2; f++) {
        setup(NULL);
        const struct i4q_quantize_job *done = quantized(&weights.items[1], "uint4", &range, 0);
        struct i4q_quantize_job bare = *done;
        bare.codes = bare.zero_points = NULL;
        bare.scales = NULL;
        struct i4q_emission with = emit(forms[f], &weights.items[1], done),
                            without = emit(forms[f], &weights.items[1], &bare);
        assert_int_equal(with.nodes.count, without.nodes.count);
        assert_int_equal(with.tensors.count, without.tensors.count);
        for (size_t i = 0; i < with.tensors.count; i++) {
            const Onnx__TensorProto *a = with.tensors.items[i], *b = without.tensors.items[i];
            assert_int_equal(a->raw_data.len, b->raw_data.len);
            assert_int_equal(a->data_type, b->data_type);
        }
        teardown(NULL);
    }
}

static void words_and_domains(void **state)
{
    assert_ptr_equal(i4q_form_find("dq", NULL), &i4q_form_dq);
    assert_ptr_equal(i4q_form_find("dq", "com.microsoft"), &i4q_form_dq_microsoft);
    assert_ptr_equal(i4q_form_find("nbits", NULL), &i4q_form_nbits);
    assert_null(i4q_form_find("cast", "com.microsoft"));
    assert_string_equal(i4q_form_word(0), "dq");
    assert_string_equal(i4q_form_word(1), "cast");
    assert_string_equal(i4q_form_dq_domain(0), "ai.onnx");
    assert_string_equal(i4q_form_dq_domain(1), "com.microsoft");
    assert_null(i4q_form_dq_domain(2));
}

static void needs(void **state)
{
    struct i4q_quantize_job job = {.format = i4q_format_find("int4"), .outer = 1, .channels = 2, .inner = 10};
    assert_int_equal(i4q_form_dq.opset(&job), 21);
    assert_int_equal(i4q_form_dq.ir_version(&job), 10);
    assert_int_equal(i4q_form_dq_microsoft.opset(&job), 0);
    job.format = i4q_format_find("int8");
    assert_int_equal(i4q_form_dq.opset(&job), 13);
    assert_int_equal(i4q_form_cast.opset(&job), 0);
    job.half = true;
    assert_int_equal(i4q_form_dq.opset(&job), 19);
    job.block = 4; /* which does not divide 10 */
    assert_int_equal(i4q_form_dq.opset(&job), 21);
    assert_false(i4q_form_cast.holds(NULL, &job));
    assert_ptr_equal(i4q_form_choose(&i4q_form_cast, NULL, &job), &i4q_form_dq);
    job.block = 5;
    assert_ptr_equal(i4q_form_choose(&i4q_form_cast, NULL, &job), &i4q_form_cast);
    job.format = i4q_format_find("int2");
    assert_int_equal(i4q_form_dq.opset(&job), 25);
    assert_int_equal(i4q_form_dq.ir_version(&job), 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_are_known_again),
        cmocka_unit_test(a_job_without_numbers_takes_as_much),
        cmocka_unit_test(words_and_domains),
        cmocka_unit_test(needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
