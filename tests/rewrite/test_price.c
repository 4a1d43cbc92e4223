// SPDX-License-Identifier: Apache-2.0
/* The price of a plan is the size of what comes of it, to the byte: over all stored models and every way to
 * store their weights. */
#include "testing.h"

#include "onnx/save.h"
#include "plan/apply.h"
#include "plan/planner.h"
#include "rewrite/price.h"
#include "rewrite/rewrite.h"

#include <glob.h>

enum { MOST_LOSSES = 4096 };

/* One way to store the weights of a model. */
struct way {
    const struct i4q_format *format, *kept;
    const struct i4q_form *form;
    const struct i4q_method *method;
    size_t block, keep;
    struct i4q_destination to;
};

struct run {
    struct i4q_model model;
    struct i4q_weights facts;
    struct i4q_plan_options options;
    struct i4q_plan plan;
    struct i4q_error error;
};

static const double *losses(void)
{
    static double all[MOST_LOSSES];
    for (size_t i = 0; i < MOST_LOSSES; i++)
        all[i] = (double)(i * 7 % 11);
    return all;
}

static bool make_plan(struct run *run, const char *path, const struct way *way)
{
    *run = (struct run){0};
    if (!i4q_model_load(&run->model, path, true, &run->error))
        return false;
    run->options = (struct i4q_plan_options){
        .target = {.format = way->format, .form = way->form, .method = *way->method, .block = way->block},
        .kept = {.format = way->kept, .form = way->form, .method = i4q_methods[0]},
        .correct_bias = true,
        .estimates = losses(),
        .ranking = {true, I4Q_RANK_KEEP, way->keep},
        .threads = 1};
    return i4q_weights_find(&run->model, i4q_ops_conv(), false, &run->facts, &run->error) &&
           run->facts.n_convs <= MOST_LOSSES &&
           i4q_plan_make(&run->facts, &run->options, &run->plan, &run->error);
}

static bool price(struct run *run, const struct way *way, size_t *bytes)
{
    bool *all = i4q_arena_alloc(&run->model.arena, run->facts.count, sizeof *all);
    for (size_t i = 0; i < run->facts.count; i++)
        all[i] = i4q_weight_is_quantizable(&run->facts.items[i]) && run->facts.items[i].tensor.count;
    i4q_weights_look_through(&run->facts, all, i4q_kernels_choose(NULL, &run->error), 1);
    return i4q_plan_keep(&run->plan, way->keep, &run->error) &&
           i4q_price(&run->plan, &way->to, bytes, &run->error);
}

static bool rewrite(struct run *run, const struct way *way, size_t *bytes)
{
    struct i4q_rewrite result;
    struct i4q_layout layout;
    bool ok = i4q_plan_quantize(&run->plan, i4q_kernels_choose(NULL, &run->error), 1, &run->error) &&
              i4q_rewrite_apply(&run->plan, way->to.opset, &result, &run->error) &&
              i4q_layout_make(&run->model, way->to.path, way->to.external, &layout, &run->error);
    *bytes = ok ? i4q_layout_bytes(&layout) : 0;
    return ok;
}

/* The rewrite is that of a model of its own, which no price has been asked for. Whether both succeed. */
static bool check(const char *path, const struct way *way)
{
    static struct run priced, rewritten;
    size_t expected = 0, bytes = 0;
    bool ok = make_plan(&priced, path, way) && price(&priced, way, &expected);
    assert_int_equal(make_plan(&rewritten, path, way) && rewrite(&rewritten, way, &bytes), ok);
    if (bytes != expected)
        fail_msg("%s as %s by %s, block %zu, %zu kept as %s: %zu bytes, the price is %zu", path,
                 way->format->name, way->form->word, way->block, way->keep,
                 way->kept ? way->kept->name : "float", bytes, expected);
    assert_string_equal(priced.error.message, rewritten.error.message);
    i4q_model_free(&priced.model);
    i4q_model_free(&rewritten.model);
    return ok;
}

/* Every number of kept Convs, where the file goes and what opset it has in turn. */
static size_t check_kept(const char *path, struct way *way)
{
    static const char *const external[] = {"auto", "inline", "side.bin"};
    static const int64_t opsets[] = {0, 0, 21, 25};
    size_t succeeded = 0;
    for (way->keep = 0; way->keep < 4; way->keep++) {
        static size_t turn;
        way->to = (struct i4q_destination){"out.onnx", external[turn % 3], opsets[turn / 3 % 4]};
        way->kept = turn % 2 ? i4q_format_find("int8") : NULL;
        succeeded += check(path, way);
        turn++;
    }
    return succeeded;
}

static size_t check_model(const char *path)
{
    static const size_t blocks[] = {0, 2, 16};
    size_t succeeded = 0;
    for (const struct i4q_format *format = i4q_formats; format->name; format++)
        for (const struct i4q_form *const *form = i4q_forms; *form; form++)
            for (size_t i = 0; i < 3; i++) {
                struct way way = {.format = format,
                                  .form = *form,
                                  .block = (*form)->domain ? 0 : blocks[i],
                                  .method = &i4q_methods[format->fine ? 0 : (i + format->floats) % 2]};
                bool once = *form == &i4q_form_dq && i == 0; /* the format alone tells the form */
                if (i4q_format_is_integers(format) ? (*form)->word != NULL : once)
                    succeeded += check_kept(path, &way);
            }
    return succeeded;
}

static void prices_are_exact(void **state)
{
    glob_t paths;
    size_t succeeded = 0;
    assert_int_equal(glob(TESTS "/data/*.onnx", 0, NULL, &paths), 0);
    assert_int_equal(glob(TESTS "/fuzz/corpus/onnx/*", GLOB_APPEND, NULL, &paths), 0);
    for (size_t i = 0; i < paths.gl_pathc; i++)
        succeeded += check_model(paths.gl_pathv[i]);
    globfree(&paths);
    assert_true(succeeded > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prices_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
