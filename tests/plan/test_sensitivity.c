// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "plan/sensitivity.h"

/* Convs 2 and 3 share a weight. */
static const char *const nodes[] = {"/a/Conv", "/b/Conv", "/c/Conv", "/d/Conv", "/e/Conv"};
static const char *const weights[] = {"a.weight", "b.weight", "shared", "shared", "onnx::Conv_9"};

enum { CONVS = sizeof nodes / sizeof *nodes };

struct fixture {
    struct i4q_arena arena;
    struct i4q_names names[CONVS];
    struct i4q_name_index index;
    const void *identity[CONVS];
    struct i4q_sensitivity result;
    struct i4q_error error;
};

static int setup(void **state)
{
    static struct fixture fixture;
    memset(&fixture, 0, sizeof fixture);
    i4q_arena_init(&fixture.arena, SIZE_MAX / 2);
    for (size_t i = 0; i < CONVS; i++) {
        fixture.identity[i] = weights[i == 3 ? 2 : i];
        if (!i4q_names_make(&fixture.arena, nodes[i], weights[i], &fixture.names[i]))
            return -1;
    }
    *state = &fixture;
    return !i4q_name_index_make(&fixture.arena, fixture.names, CONVS, &fixture.index);
}

static int teardown(void **state)
{
    i4q_arena_free(&((struct fixture *)*state)->arena);
    return 0;
}

static bool load(struct fixture *fixture, const char *json)
{
    struct i4q_view view = {(const uint8_t *)json, strlen(json)};
    fixture->error = (struct i4q_error){0};
    return i4q_sensitivity_read(&fixture->arena, view, &fixture->index, fixture->identity, &fixture->result,
                                &fixture->error);
}

static void assert_loads(struct fixture *fixture, const char *json)
{
    if (!load(fixture, json))
        fail_msg("%s", fixture->error.message);
}

static void assert_score(const struct fixture *fixture, size_t conv, double score, double worse)
{
    assert_true(fixture->result.convs[conv].present);
    assert_true(fixture->result.convs[conv].score == score);
    assert_true(fixture->result.convs[conv].worse == worse);
}

static void shape_1_rows(void **state)
{
    struct fixture *f = *state;
    assert_loads(f, "{\"layer_sensitivity\": [{\"layer\": \"a\", \"num_bits\": 4, \"sensitivity\": 0.5},"
                    "{\"layer\": \"a\", \"num_bits\": 16, \"sensitivity\": 9},"
                    "{\"layer\": \"/b/Conv\", \"sensitivity\": 2, \"size_cost\": 1},"
                    "{\"layer\": \"gone\", \"sensitivity\": 3}], \"k\": 7}");
    assert_true(f->result.scored && f->result.has_k);
    assert_int_equal(f->result.k, 7);
    assert_int_equal(f->result.entries, 3);
    assert_score(f, 0, 0.5, 0.5);
    assert_score(f, 1, 2, 2);
    assert_false(f->result.convs[2].present);
    assert_int_equal(f->result.unmatched.count, 1);
    assert_string_equal(f->result.unmatched.items[0], "gone");
}

static void fewest_bits_then_worst(void **state)
{
    struct fixture *f = *state;
    assert_loads(f, "{\"layer_sensitivity\": [{\"layer\": \"a\", \"num_bits\": 8, \"sensitivity\": 9},"
                    "{\"layer\": \"a.weight\", \"num_bits\": 4, \"sensitivity\": 1},"
                    "{\"layer\": \"/a/Conv\", \"num_bits\": 4, \"sensitivity\": 2},"
                    "{\"layer\": \"a\", \"num_bits\": 4, \"sensitivity\": 1.5}]}");
    assert_score(f, 0, 2, 2);
    assert_false(f->result.has_k);
    assert_loads(f, "{\"layer_sensitivity\": [{\"layer\": \"a\", \"sensitivity\": 9},"
                    "{\"layer\": \"a\", \"num_bits\": 8, \"sensitivity\": 1}]}");
    assert_score(f, 0, 1, 1); /* a row that tells its bits counts first */
}

static void rows_without_measurement(void **state)
{
    struct fixture *f = *state;
    assert_loads(f, "{\"layer_sensitivity\": [], \"k\": null}");
    assert_int_equal(f->result.entries, 0);
    assert_false(f->result.has_k);
    assert_loads(f, "{\"layer_sensitivity\": [{\"layer\": \"strange\", \"num_bits\": 16}], \"k\": 0}");
    assert_int_equal(f->result.entries, 0);
    assert_int_equal(f->result.unmatched.count, 0);
    assert_true(f->result.has_k);
    assert_int_equal(f->result.k, 0);
}

static void shape_2_recipes(void **state)
{
    struct fixture *f = *state;
    assert_loads(
        f,
        "{\"layer_sensitivity\": {\"a.quant_recipe\": {\"formats\": [\"NONE(16)\", \"INT4\", \"INT8\"],"
        "\"scores\": [99, 0.25, 0.5]}, \"b.quant_recipe\": {\"formats\": [\"NONE(x)\"], \"scores\": [1]}}}");
    assert_int_equal(f->result.entries, 1);
    assert_score(f, 0, 0.5, 0.5);
    assert_false(f->result.convs[1].present);
}

static void shape_3_lists(void **state)
{
    struct fixture *f = *state;
    assert_loads(
        f,
        "{\"excluded_onnx_nodes\": [\"/a/Conv\"], \"excluded_layers\": [\"b\", \"x\"], \"k\": \"ignored\"}");
    assert_false(f->result.scored || f->result.has_k);
    assert_true(f->result.convs[0].present && f->result.convs[1].present);
    assert_int_equal(f->result.entries, 3);
    assert_int_equal(f->result.unmatched.count, 1);
    assert_loads(f, "{\"excluded_layers\": []}");
}

static void shape_4_scores(void **state)
{
    struct fixture *f = *state;
    assert_loads(f, "{\"a\": -1, \"shared\": 2.5, \"k\": 3}");
    assert_score(f, 0, -1, -1);
    assert_score(f, 2, 2.5, 2.5);
    assert_score(f, 3, 2.5, 2.5);  /* both Convs of the shared weight */
    assert_false(f->result.has_k); /* every key is a name */
    assert_string_equal(f->result.unmatched.items[0], "k");
}

static void shape_5_records(void **state)
{
    struct fixture *f = *state;
    assert_loads(f, "[{\"name\": \"a\", \"mse\": 0.5}, {\"node\": \"/b/Conv\", \"mse\": 0.1}]");
    assert_score(f, 0, 0.5, 0.5);
    assert_loads(f, "[{\"name\": \"a\", \"sqnr\": 20}, {\"name\": \"b\", \"sqnr\": 10}]");
    assert_score(f, 0, 20, -20); /* higher is safer */
    assert_true(f->result.convs[1].worse > f->result.convs[0].worse);
    assert_loads(f, "[{\"op\": \"Conv\", \"module\": \"a\", \"loss\": 3}]");
    assert_score(f, 0, 3, 3); /* "op" is the name only where there is no other */
    assert_loads(f, "[{\"op\": \"/a/Conv\", \"score\": 3}]");
    assert_score(f, 0, 3, 3);
}

static void strange_names_do_no_harm(void **state)
{
    struct fixture *f = *state;
    assert_loads(f, "{\"a\": 1, \"\": 2, \"\\n\\u001b[31m\": 3, \"%s%n\": 4}");
    assert_int_equal(f->result.unmatched.count, 3);
    assert_string_equal(f->result.unmatched.items[1], "\n\x1b[31m");
    assert_string_equal(f->result.unmatched.items[2], "%s%n");
}

static void long_names_are_cut(void **state)
{
    struct fixture *f = *state;
    char json[3000], name[2001] = "";
    memset(name, 'x', sizeof name - 1);
    snprintf(json, sizeof json, "{\"layer_sensitivity\": [{\"layer\": \"%s\"}]}", name);
    assert_false(load(f, json));
    assert_failed(f->error, I4Q_MODEL, "xxx'): \"sensitivity\" must be a finite number, got nothing");
}

static void depth_is_limited(void **state)
{
    static char json[1000001];
    memset(json, '[', sizeof json - 1);
    assert_false(load(*state, json));
    assert_failed(((struct fixture *)*state)->error, I4Q_MODEL, "not JSON: line 1");
}

static void model_without_convs(void **state)
{
    struct fixture *f = *state;
    assert_true(i4q_name_index_make(&f->arena, f->names, 0, &f->index));
    assert_loads(f, "{\"a\": 1}"); /* that it has none is the caller's to say */
    assert_int_equal(f->result.unmatched.count, 1);
}

static void refusals(void **state)
{
    static const struct {
        const char *json, *part;
    } cases[] = {
        {"", "not JSON: line 1"},
        {"{\"a\": 1", "not JSON: line 1, column"},
        {"{\"a\": 1, \"a\": 2}", "duplicate object key"},
        {"{\"a\": 1e999}", "not JSON: line 1, column 11: real number overflow"},
        {"{\"a\": NaN}", "not JSON"},
        {"{\"a\\u0000\": 1}", "not JSON"},
        {"{\"\xff\": 1}", "not JSON"},
        {"{\"a\": 1} x", "not JSON"},
        {"{}", "not a sensitivity file: expected"},
        {"[]", "not a sensitivity file"},
        {"[1, 2]", "not a sensitivity file"},
        {"{\"a\": \"1\"}", "not a sensitivity file"},
        {"{\"layer_sensitivity\": \"x\"}", "not a sensitivity file"},
        {"{\"layer_sensitivity\": 3, \"a\": 1}", "not a sensitivity file"},
        {"{\"layer_sensitivity\": [{\"layer\": \"a\", \"sensitivity\": \"1\"}]}",
         "layer_sensitivity[0] ('a'): \"sensitivity\" must be a finite number, got a string"},
        {"{\"layer_sensitivity\": [{\"layer\": \"a\", \"sensitivity\": 1}, {\"sensitivity\": 1}]}",
         "layer_sensitivity[1]: \"layer\" must be a string, got nothing"},
        {"{\"layer_sensitivity\": [{\"layer\": null, \"sensitivity\": 1}]}",
         "layer_sensitivity[0]: \"layer\" must be a string, got null"},
        {"{\"layer_sensitivity\": [{\"layer\": \"a\", \"sensitivity\": 1, \"num_bits\": \"4\"}]}",
         "layer_sensitivity[0] ('a'): \"num_bits\" must be a finite number, got a string"},
        {"{\"layer_sensitivity\": [{\"layer\": \"a\", \"sensitivity\": 1, \"noise\": \"low\"}]}",
         "layer_sensitivity[0] ('a'): \"noise\" must be a finite number, got a string"},
        {"{\"layer_sensitivity\": [{\"layer\": \"a\", \"sensitivity\": 1, \"noise\": 0}]}",
         "layer_sensitivity[0] ('a'): \"noise\" must be above 0, got 0"},
        {"{\"layer_sensitivity\": [{\"layer\": \"a\", \"sensitivity\": 1, \"noise\": -0.5}]}",
         "layer_sensitivity[0] ('a'): \"noise\" must be above 0, got -0.5"},
        {"{\"layer_sensitivity\": [7]}", "layer_sensitivity[0]: the row must be an object, got an integer"},
        {"{\"layer_sensitivity\": [{\"layer\": \"a\", \"sensitivity\": 1}], \"k\": -1}",
         "\"k\": the value must be at least 0, got -1"},
        {"{\"layer_sensitivity\": [{\"layer\": \"a\", \"sensitivity\": 1}], \"k\": 1.5}",
         "\"k\": the value must be an integer, got a number"},
        {"{\"excluded_layers\": [\"a\", 1]}",
         "excluded_layers[1]: the name must be a string, got an integer"},
        {"{\"excluded_onnx_nodes\": null}",
         "excluded_onnx_nodes: the value must be an array of names, got null"},
        {"{\"layer_sensitivity\": {\"a\": {\"formats\": [\"INT4\"], \"scores\": []}}}",
         "layer_sensitivity 'a': \"formats\" and \"scores\" must be arrays of one length"},
        {"{\"layer_sensitivity\": {\"a\": {\"formats\": [\"INT4\"], \"scores\": [null]}}}",
         "layer_sensitivity 'a': a score must be a finite number, got null"},
        {"{\"layer_sensitivity\": {\"a\": 1}}", "layer_sensitivity 'a': \"formats\" and"},
        {"[{\"name\": \"a\", \"mse\": 1}, {\"name\": \"b\", \"kl\": 1}]",
         "[1] ('b'): \"mse\" must be a finite number, got nothing"},
        {"[{\"name\": \"a\", \"mse\": 1}, {\"mse\": 1}]", "[1]: the name must be a string, got nothing"},
        {"[{\"name\": \"a\", \"mse\": 1}, 2]", "[1]: the name must be a string"},
        {"{\"x\": 1, \"y\": 2}",
         "none of its 2 entries is a name of the model (it has 'x', the model '/a/Conv')"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (load(f, cases[i].json))
            fail_msg("%s was taken", cases[i].json);
        assert_failed(f->error, I4Q_MODEL, cases[i].part);
    }
}

static void ambiguous_names(void **state)
{
    struct fixture *f = *state;
    struct i4q_names *names = f->names;
    assert_true(i4q_names_make(&f->arena, "same", "v", &names[0]) &&
                i4q_names_make(&f->arena, "same", "w", &names[1]));
    assert_true(i4q_name_index_make(&f->arena, names, CONVS, &f->index));
    assert_false(load(f, "{\"same\": 1}"));
    assert_failed(f->error, I4Q_MODEL,
                  "'same': the name fits several Convs with different weights: 'v', 'w'");
    assert_loads(f, "{\"v\": 1, \"w\": 2}"); /* each has another name that is its own */
    f->identity[0] = f->identity[1] = NULL;  /* no weight is not one weight */
    assert_false(load(f, "{\"layer_sensitivity\": [{\"layer\": \"same\", \"sensitivity\": 1}]}"));
    assert_failed(f->error, I4Q_MODEL, "layer_sensitivity[0] ('same'): the name fits several Convs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(shape_1_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(fewest_bits_then_worst, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_without_measurement, setup, teardown),
        cmocka_unit_test_setup_teardown(shape_2_recipes, setup, teardown),
        cmocka_unit_test_setup_teardown(shape_3_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(shape_4_scores, setup, teardown),
        cmocka_unit_test_setup_teardown(shape_5_records, setup, teardown),
        cmocka_unit_test_setup_teardown(strange_names_do_no_harm, setup, teardown),
        cmocka_unit_test_setup_teardown(long_names_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(depth_is_limited, setup, teardown),
        cmocka_unit_test_setup_teardown(model_without_convs, setup, teardown),
        cmocka_unit_test_setup_teardown(refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(ambiguous_names, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
