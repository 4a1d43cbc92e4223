// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "plan/convs.h"
#include "plan/mixture.h"

#include <math.h>

static struct convs convs;
static struct i4q_arena arena;
static struct i4q_mixture mixture;
static struct i4q_recipe recipes[4];

static const float exact[] = {7, -7, 3, 1}, bad[] = {INFINITY, 0, 1, 2};

/* `exact` loses nothing in 4 bits; two Convs share a weight, one of another pair is left out. */
static const struct test_conv specs[] = {
    {"exact", "w0", {1, 4, 1, 1}, exact, false}, {"bad", "w1", {1, 4, 1, 1}, bad, false},
    {"wave", "w2", {8, 16, 3, 3}, NULL, false},  {"sharing", "w2", {8, 16, 3, 3}, NULL, false},
    {"small", "w3", {2, 16, 3, 3}, NULL, false}, {"large", "w4", {32, 16, 3, 3}, NULL, false},
    {"other", "w5", {8, 16, 3, 3}, NULL, false}, {"left", "w5", {8, 16, 3, 3}, NULL, false},
};

enum { CONVS = sizeof specs / sizeof *specs, WEIGHTS = 6 };

static int setup(void **state)
{
    static const char *const formats[] = {"packed3", "int4", "int8"};
    convs_load(&convs, specs, CONVS);
    i4q_arena_init(&arena, SIZE_MAX / 2);
    assert_true(i4q_patterns_add(&convs.model.arena, &convs.options.exclude, "left"));
    for (size_t i = 0; i < 4; i++)
        recipes[i] = (struct i4q_recipe){i < 3 ? i4q_format_find(formats[i]) : NULL,
                                         convs.options.target.form, i4q_methods[0], 0};
    return 0;
}

static int teardown(void **state)
{
    convs_free(&convs);
    i4q_arena_free(&arena);
    return 0;
}

static bool mix(size_t count)
{
    const struct i4q_estimate how = {
        .facts = &convs.facts, .options = &convs.options, .kernels = convs_kernels(), .threads = 1};
    convs_plan(&convs);
    const struct i4q_budget budget = {.option = "--bits"};
    return i4q_mixture_make(&convs.plan, &how, recipes, count, &budget, &arena, &mixture, &convs.error);
}

static void climb(size_t rung)
{
    const struct i4q_ladder ladder = i4q_mixture_ladder(&mixture);
    assert_true(rung <= ladder.rungs);
    assert_true(ladder.climb(ladder.context, &convs.plan, rung, &convs.error));
}

static const char *choice(size_t weight)
{
    const struct i4q_recipe *recipe = convs.plan.weights[weight].recipe;
    return recipe ? recipe->format->name : "-";
}

static void the_lowest_rung_has_the_cheapest_of_all(void **state)
{
    assert_true(mix(3));
    climb(0);
    assert_string_equal(convs_reasons(&convs.plan), "- non-finite - - - - shared excluded");
    for (size_t i = 0; i < WEIGHTS; i++)
        assert_string_equal(choice(i), i == 1 || i == 5 ? "-" : "packed3");
    assert_int_equal(convs.plan.n_quantized, 5);
}

/* `exact` needs no more than 4 bits, and never gets more. */
static void the_highest_has_the_best(void **state)
{
    assert_true(mix(4));
    climb(mixture.allocation.rungs);
    assert_true(convs.plan.predicted_loss == 0);
    assert_string_equal(choice(0), "int4");
    assert_string_equal(convs_reasons(&convs.plan), "- non-finite sensitive sensitive sensitive sensitive "
                                                    "shared excluded");
    struct i4q_tally tally = i4q_plan_tally(&convs.plan);
    assert_int_equal(tally.weights, 4 + 144 * (8 + 2 + 32));
    assert_int_equal(tally.bytes, 2 + 4 + 1 + 4 * 144 * (8 + 2 + 32));
}

static void more_bytes_never_predict_more_loss(void **state)
{
    assert_true(mix(4));
    double before = INFINITY;
    for (size_t rung = 0; rung <= mixture.allocation.rungs; rung += 13) {
        double sum = 0;
        climb(rung);
        for (size_t i = 0; i < WEIGHTS; i++)
            if (!isnan(convs.plan.weights[i].predicted_loss))
                sum += convs.plan.weights[i].predicted_loss;
        assert_true(convs.plan.predicted_loss <= before && fabs(sum - convs.plan.predicted_loss) < 1e-12);
        before = convs.plan.predicted_loss;
    }
    climb(0);
    struct i4q_offer now = i4q_allocation_sum(&mixture.allocation, mixture.taken);
    struct i4q_offer next = i4q_mixture_beyond(&mixture, 0.05);
    assert_true(next.loss < now.loss && next.bytes > 0);
    assert_true((double)next.bytes <= 0.05 * (double)now.bytes);
}

/* With a budget of bits: never above it, close to it, and monotone. */
static void budgets_are_met(void **state)
{
    double before = INFINITY;
    assert_true(mix(4));
    const struct i4q_ladder ladder = i4q_mixture_ladder(&mixture);
    for (double bits = 4; bits < 30; bits += 0.61) {
        const struct i4q_budget budget = {
            .option = "--bits", .bits = bits, .kernels = convs_kernels(), .threads = 1};
        assert_true(i4q_budget_fit(&convs.plan, &ladder, &budget, &convs.error));
        struct i4q_tally tally = i4q_plan_tally(&convs.plan);
        assert_true(i4q_tally_bits(&tally) <= bits);
        assert_true(convs.plan.predicted_loss <= before);
        before = convs.plan.predicted_loss;
    }
}

static void scores_weigh(void **state)
{
    static const char liked[] = "{\"large\": 100, \"small\": 1, \"wave\": 1}";
    static const char alike[] = "{\"large\": 1, \"small\": 100, \"wave\": 1}";
    convs.options.ranking = (struct i4q_ranking){.mode = I4Q_RANK_WEIGH};
    convs.options.topk = "scores.json";
    for (int i = 0; i < 2; i++) {
        const char *text = i ? alike : liked;
        convs.options.topk_json = (struct i4q_view){(const uint8_t *)text, strlen(text)};
        assert_true(mix(3));
        climb(700);
        double large = convs.plan.weights[4].predicted_loss, small = convs.plan.weights[3].predicted_loss;
        assert_true(i ? large < small * 30 : large > small * 3);
        assert_string_equal(choice(4), i ? "packed3" : "int4");
    }
}

/* Equal scores at a hundredth of the noise are a hundred times the loss of a unit of noise. */
static void the_noise_of_scores_counts(void **state)
{
    static const char *const texts[] = {
        "{\"layer_sensitivity\": [{\"layer\": \"large\", \"sensitivity\": 1, \"noise\": 0.0001},"
        "{\"layer\": \"small\", \"sensitivity\": 1, \"noise\": 0.01}]}",
        "{\"layer_sensitivity\": [{\"layer\": \"large\", \"sensitivity\": 1, \"noise\": 0.01},"
        "{\"layer\": \"small\", \"sensitivity\": 1, \"noise\": 0.0001}]}"};
    convs.options.ranking = (struct i4q_ranking){.mode = I4Q_RANK_WEIGH};
    convs.options.topk = "scores.json";
    for (int i = 0; i < 2; i++) {
        convs.options.topk_json = (struct i4q_view){(const uint8_t *)texts[i], strlen(texts[i])};
        assert_true(mix(3));
        climb(700);
        assert_string_equal(choice(4), i ? "packed3" : "int4");
    }
}

/* Where one score lacks it, all are weighed as without any, and a note says so; a score of 0 lacks nothing.
 */
static void the_noise_of_some_scores_is_not_used(void **state)
{
    static const char *const others[] = {"1", "1, \"noise\": null", "0", "1, \"noise\": 0.01"};
    double large[4];
    convs.options.ranking = (struct i4q_ranking){.mode = I4Q_RANK_WEIGH};
    convs.options.topk = "scores.json";
    for (int i = 0; i < 4; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "{\"layer_sensitivity\": [{\"layer\": \"large\", \"sensitivity\": 1%s},"
                 "{\"layer\": \"small\", \"sensitivity\": %s}]}",
                 i ? ", \"noise\": 0.0001" : "", others[i]);
        convs.options.topk_json = (struct i4q_view){(const uint8_t *)text, strlen(text)};
        assert_true(mix(3));
        climb(0);
        large[i] = convs.plan.weights[4].predicted_loss;
        assert_int_equal(convs.plan.notes.count, i == 1);
        if (i == 1)
            assert_string_equal(convs.plan.notes.items[0],
                                "--topk: 1 of 2 scores have a noise in the file: it is not used, and all are "
                                "divided by that of absmax");
    }
    assert_true(large[1] == large[0] && large[2] > large[0] && large[3] > large[0]);
}

static void scores_below_0_are_no_losses(void **state)
{
    static const char text[] = "{\"large\": -1, \"small\": 1}";
    convs.options.ranking = (struct i4q_ranking){.mode = I4Q_RANK_WEIGH};
    convs.options.topk = "scores.json";
    convs.options.topk_json = (struct i4q_view){(const uint8_t *)text, strlen(text)};
    assert_false(mix(3));
    assert_failed(convs.error, I4Q_USAGE, "a score of -1 is no loss");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_lowest_rung_has_the_cheapest_of_all, setup, teardown),
        cmocka_unit_test_setup_teardown(the_highest_has_the_best, setup, teardown),
        cmocka_unit_test_setup_teardown(more_bytes_never_predict_more_loss, setup, teardown),
        cmocka_unit_test_setup_teardown(budgets_are_met, setup, teardown),
        cmocka_unit_test_setup_teardown(scores_weigh, setup, teardown),
        cmocka_unit_test_setup_teardown(the_noise_of_scores_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(the_noise_of_some_scores_is_not_used, setup, teardown),
        cmocka_unit_test_setup_teardown(scores_below_0_are_no_losses, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
