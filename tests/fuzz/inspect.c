// SPDX-License-Identifier: Apache-2.0
/* Inspection: counts add up, every kernel set finds the same, a model does not differ from itself, and the
 * reports can be read. */
#include "model_target.h"

#include "inspect/comparison.h"
#include "report/inspect_report.h"

#include <math.h>
#include <string.h>

static void check_counts(const struct i4q_inspection *inspection)
{
    size_t total = 0;
    for (size_t i = 0; i4q_kind_word(i); i++)
        total += i4q_inspection_total(inspection, i4q_kind_word(i));
    REQUIRE(total == inspection->n_rows);
    for (size_t i = 0; i < inspection->n_rows; i++) {
        const struct i4q_inspected *row = &inspection->rows[i];
        size_t codes = 0;
        for (size_t c = 0; c < row->n_histogram; c++)
            codes += row->histogram[c];
        REQUIRE(!row->histogram || codes == row->storage.count);
    }
}

/* NaN equals NaN. */
static bool same_number(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static void check_equal(const struct i4q_inspection *a, const struct i4q_inspection *b)
{
    REQUIRE(a->n_rows == b->n_rows && a->problems.count == b->problems.count);
    for (size_t i = 0; i < a->n_rows; i++) {
        const struct i4q_inspected *x = &a->rows[i], *y = &b->rows[i];
        REQUIRE(same_number(x->scale_min, y->scale_min) && same_number(x->scale_max, y->scale_max));
        REQUIRE(x->zero_point == y->zero_point && x->zero_channels == y->zero_channels);
        REQUIRE(x->n_histogram == y->n_histogram);
        REQUIRE(!x->n_histogram ||
                memcmp(x->histogram, y->histogram, x->n_histogram * sizeof *x->histogram) == 0);
    }
}

/* Weights that are not finite have no errors. */
static void check_no_difference(struct i4q_inspection *inspection, struct i4q_model *itself)
{
    struct i4q_error error = {0};
    if (!i4q_compare(inspection, itself, target_best_kernels(), &error)) {
        REQUIRE_OK(error.code == I4Q_MODEL, error);
        return;
    }
    for (size_t i = 0; i < inspection->differences.texts.count; i++)
        fprintf(stderr, "%s\n", inspection->differences.texts.items[i]);
    REQUIRE(inspection->differences.texts.count == 0);
}

static void check_reports(const struct i4q_inspection *inspection, size_t bytes)
{
    const struct i4q_inspect_report report = {
        .inspection = inspection, .path = "model.onnx", .bytes = bytes, .has_reference = true};
    FILE *stream = target_text_open();
    i4q_inspect_text(&report, stream);
    target_text_close(stream);
    target_check_json(i4q_inspect_json(&report));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct i4q_model model, again;
    struct i4q_inspection best, scalar;
    target_begin();
    if (target_load(&model, data, size)) {
        REQUIRE(target_load(&again, data, size));
        if (target_inspect(&model, target_best_kernels(), &best)) {
            REQUIRE(target_inspect(&again, target_scalar_kernels(), &scalar));
            check_counts(&best);
            check_equal(&best, &scalar);
            check_no_difference(&best, &again);
            check_reports(&best, size);
        }
        i4q_model_free(&again);
        i4q_model_free(&model);
    }
    target_end();
    return 0;
}
