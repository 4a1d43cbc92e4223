// SPDX-License-Identifier: Apache-2.0
#include "report/mixture_report.h"

#include "base/json.h"

#include <math.h>

enum { WORD = 64 };

static const double MORE = 0.05; /* of the bytes, of which it is told what they would buy */

/* As in --choices. */
static const char *recipe_word(const struct i4q_recipe *recipe, char word[static WORD])
{
    snprintf(word, WORD, "%s", recipe->format ? recipe->format->name : "float");
    if (recipe->block)
        snprintf(word, WORD, "%s:%zu", recipe->format->name, recipe->block);
    return word;
}

static size_t count_rows(const struct i4q_plan *plan, const struct i4q_recipe *choice)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->n_rows; i++) {
        const struct i4q_plan_row *row = &plan->rows[i];
        count += row->weight && row->weight->choice == choice &&
                 (!row->reason || (!choice->format && row->reason == I4Q_REASON_SENSITIVE));
    }
    return count;
}

void i4q_mixture_print_convs(const struct i4q_report *report, FILE *stream)
{
    const struct i4q_plan *plan = report->plan;
    const char *separator = "mixture    ";
    char word[WORD];
    for (size_t i = 0; plan->mixture && i < plan->mixture->n_recipes; i++) {
        size_t count = count_rows(plan, &plan->mixture->recipes[i]);
        if (count) {
            fprintf(stream, "%s%zu %s", separator, count, recipe_word(&plan->mixture->recipes[i], word));
            separator = ", ";
        }
    }
    if (plan->mixture)
        fputc('\n', stream);
}

void i4q_mixture_print_budget(const struct i4q_report *report, FILE *stream)
{
    const struct i4q_plan *plan = report->plan;
    if (!plan->mixture)
        return;
    struct i4q_tally tally = i4q_plan_tally(plan);
    struct i4q_offer next = i4q_mixture_beyond(plan->mixture, MORE);
    fprintf(stream, "budget     %.4f bits a weight", i4q_tally_bits(&tally));
    if (report->budget->price)
        fprintf(stream, " in at most %zu bytes", report->budget->limit);
    else
        fprintf(stream, " of at most %.10g", report->budget->bits);
    fprintf(stream, ", predicted loss %.4g; with %.0f %% more bytes it would be %.4g\n", plan->predicted_loss,
            100 * MORE, next.loss);
}

static json_t *choices_json(const struct i4q_mixture *mixture)
{
    json_t *words = json_array();
    char word[WORD];
    for (size_t i = 0; i < mixture->n_recipes; i++)
        i4q_json_add(&words, json_string(recipe_word(&mixture->recipes[i], word)));
    return words;
}

static json_t *next_json(const struct i4q_mixture *mixture)
{
    const struct i4q_offer next = i4q_mixture_beyond(mixture, MORE);
    json_t *json = json_object();
    i4q_json_put(&json, "more_bytes", i4q_json_size(next.bytes));
    i4q_json_put(&json, "predicted_loss", i4q_json_real(next.loss));
    return json;
}

json_t *i4q_mixture_json(const struct i4q_report *report)
{
    const struct i4q_mixture *mixture = report->plan->mixture;
    const struct i4q_budget *budget = report->budget;
    if (!mixture)
        return json_null();
    json_t *json = json_object();
    i4q_json_put(&json, "bits", i4q_json_real(budget->price ? NAN : budget->bits));
    i4q_json_put(&json, "target_size", budget->price ? i4q_json_size(budget->limit) : json_null());
    i4q_json_put(&json, "choices", choices_json(mixture));
    i4q_json_put(&json, "next", next_json(mixture));
    return json;
}
