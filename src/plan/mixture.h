// SPDX-License-Identifier: Apache-2.0
/*
 * --choices: the weights of a model get one of several recipes each, so that the sum of what they are
 * predicted to lose (rank.h) is the least that the bytes can buy. Convs that share a weight share its recipe.
 *
 *   i4q_mixture_make → i4q_budget_fit with i4q_mixture_ladder → the plan's weights have their choices
 */
#ifndef INT4Q_PLAN_MIXTURE_H
#define INT4Q_PLAN_MIXTURE_H

#include "plan/allocation.h"
#include "plan/budget.h"
#include "plan/rank.h"

struct i4q_mixture {
    const struct i4q_recipe *recipes; /* to which the weights of a plan point */
    size_t n_recipes;
    const struct i4q_prospect *prospects; /* [weights of the facts][recipes] */
    size_t *weights;                      /* of each item of the allocation, the index of its weight */
    struct i4q_allocation allocation;
    uint8_t *taken, *room; /* by each item, on the rung where the plan stands; and for others */
};

/* A mixture for the weights that the plan quantizes, made for `estimate`'s options, to be paid from `budget`:
 * where that has a price, what forms add to a file counts, as its average. Scores of --topk, where
 * the plan has them, are taken for what a Conv loses at the noise that the file tells for all of them, else
 * in INT4 by absmax (with a note where it tells that of some), and weigh its predicted losses; those that the
 * file does not name, as the mean of the others. Everything is in `arena`; recipes are borrowed.
 * I4Q_USAGE: a score below 0; else as i4q_forecast fails. */
bool i4q_mixture_make(struct i4q_plan *plan, const struct i4q_estimate *estimate,
                      const struct i4q_recipe *recipes, size_t count, const struct i4q_budget *budget,
                      struct i4q_arena *arena, struct i4q_mixture *mixture,
                      struct i4q_error *error) I4Q_MUST_CHECK;

/* Plans of the mixture, from the cheapest on. It is to outlive them. */
struct i4q_ladder i4q_mixture_ladder(struct i4q_mixture *mixture);

/* What so much more (0.05: 5 %) would buy: the bytes beyond those of now, and the predicted loss then. */
struct i4q_offer i4q_mixture_beyond(const struct i4q_mixture *mixture, double more);

#endif
