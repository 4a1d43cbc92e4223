// SPDX-License-Identifier: Apache-2.0
/* Which activations keep 8 bits: by their losses, or by those of a file. */
#include "testing.h"

#include "plan/keep_activations.h"

#include <math.h>

enum { COUNT = 5 };

static struct i4q_model model;
static struct i4q_weights facts = {.model = &model};
static struct i4q_value values[COUNT];
static struct i4q_plan_activation activations[COUNT];
static struct i4q_plan plan;
static struct i4q_error error;

/* Losses 2, 5, none, 5, 9; the last stays float. */
static int setup(void **state)
{
    static const char *const names[COUNT] = {"a", "b", "c", "d", "e"};
    static const double losses[COUNT] = {2, 5, (double)NAN, 5, 9};
    (void)state;
    i4q_arena_init(&model.arena, SIZE_MAX / 2);
    for (size_t i = 0; i < COUNT; i++) {
        values[i] = (struct i4q_value){.name = names[i]};
        activations[i] = (struct i4q_plan_activation){.value = &values[i], .loss = losses[i]};
    }
    activations[4].reason = I4Q_INPUT_IMAGE;
    plan = (struct i4q_plan){.facts = &facts, .activations = activations, .n_activations = COUNT};
    error = (struct i4q_error){0};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    i4q_arena_free(&model.arena);
    return 0;
}

/* Letters of those that are kept. */
static const char *kept(void)
{
    static char letters[COUNT + 1];
    size_t n = 0;
    for (size_t i = 0; i < COUNT; i++)
        if (activations[i].is_kept)
            letters[n++] = values[i].name[0];
    letters[n] = '\0';
    return letters;
}

static void keep(size_t count)
{
    plan.activation_options.keep = count;
    for (size_t i = 0; i < COUNT; i++)
        activations[i].is_kept = false;
    i4q_keep_activations_choose(&plan);
}

static bool read_file(const char *json, bool has_keep)
{
    plan.activation_options.keep_path = "keep.json";
    plan.activation_options.keep_json = (struct i4q_view){(const uint8_t *)json, strlen(json)};
    plan.activation_options.has_keep = has_keep;
    return i4q_keep_activations_read(&plan, &error);
}

static void the_most_sensitive_are_kept(void **state)
{
    (void)state;
    static const char *const expected[] = {"", "b", "bd", "abd", "abd", "abd"};
    for (size_t n = 0; n <= COUNT; n++) {
        keep(n); /* of two alike the earlier; neither what is not measured nor what stays float */
        assert_string_equal(kept(), expected[n]);
    }
}

static void without_a_file_losses_stay(void **state)
{
    (void)state;
    assert_true(i4q_keep_activations_read(&plan, &error));
    keep(1);
    assert_string_equal(kept(), "b");
}

/* What the file does not name is not kept, whatever its loss. */
static void a_file_takes_the_place_of_losses(void **state)
{
    (void)state;
    assert_true(read_file("{\"a\": 10.0, \"c\": 20.0, \"d\": 15.0}", true));
    keep(2);
    assert_string_equal(kept(), "cd");
    keep(COUNT);
    assert_string_equal(kept(), "acd");
}

static void a_list_keeps_all_that_it_names(void **state)
{
    (void)state;
    assert_true(read_file("{\"excluded_layers\": [\"d\", \"a\"]}", false));
    i4q_keep_activations_choose(&plan);
    assert_string_equal(kept(), "ad");
}

static void a_number_needs_scores(void **state)
{
    (void)state;
    assert_false(read_file("{\"excluded_layers\": [\"d\", \"a\"]}", true));
    assert_failed(error, I4Q_USAGE, "it lists tensors without scores, which a number of them needs");
    assert_string_equal(error.file, "keep.json");
}

static void names_of_nothing_are_noted(void **state)
{
    (void)state;
    assert_true(read_file("{\"a\": 1.0, \"nowhere\": 2.0}", true));
    assert_int_equal(plan.notes.count, 1);
    assert_string_equal(plan.notes.items[0], "--keep-activations: 1 of its 2 names are of no tensor that "
                                             "Convs read, 'nowhere' for one");
}

static void a_file_that_is_none_is_told(void **state)
{
    (void)state;
    assert_false(read_file("[", true));
    assert_int_equal(error.code, I4Q_MODEL);
    assert_string_equal(error.file, "keep.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_most_sensitive_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_file_losses_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_takes_the_place_of_losses, setup, teardown),
        cmocka_unit_test_setup_teardown(a_list_keeps_all_that_it_names, setup, teardown),
        cmocka_unit_test_setup_teardown(a_number_needs_scores, setup, teardown),
        cmocka_unit_test_setup_teardown(names_of_nothing_are_noted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_none_is_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
