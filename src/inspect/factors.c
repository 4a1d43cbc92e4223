// SPDX-License-Identifier: Apache-2.0
#include "inspect/factors.h"

#include "forms/activation_read.h"
#include "forms/recognise.h"
#include "onnx/layers.h"

static bool has(const struct i4q_model *reference, const struct i4q_value *value)
{
    return i4q_scope_resolve(reference->graph.scopes, value->name) != NULL;
}

/* The Mul in front of the pair that the reference does not have; NULL: there is none. */
static const struct i4q_node *find_mul(const struct i4q_activation_pair *pair,
                                       const struct i4q_model *reference)
{
    const struct i4q_node *maker = pair->tensor->producer;
    return maker && i4q_node_is(maker->proto, "Mul") && !has(reference, pair->tensor) ? maker : NULL;
}

/* Whether one side of the pair scales channels. */
static bool scales_channels(const struct i4q_activation_pair *pair)
{
    struct i4q_activation_pair scales = *pair;
    scales.decoded_zero_point = scales.zero_point;
    return !i4q_activation_is_plain(&scales);
}

/* ---- what they are */

/* How many dimensions of 1 follow the channels of a constant [C, 1, ...], or [1, C, 1, ...]; 0: it is none.
 */
static size_t count_behind(const Onnx__TensorProto *tensor)
{
    size_t first = tensor->n_dims && tensor->dims[0] == 1;
    for (size_t i = first + 1; i < tensor->n_dims; i++)
        if (tensor->dims[i] != 1)
            return 0;
    return tensor->n_dims > first ? tensor->n_dims - first - 1 : 0;
}

/* The constant of a Mul; of NULL: none, which is all right too. */
static bool open_constant(struct i4q_arena *arena, const struct i4q_node *mul, struct i4q_numbers *numbers,
                          size_t *behind)
{
    struct i4q_error ignored = {0};
    const Onnx__TensorProto *tensor = NULL;
    for (size_t i = 0; mul && i < 2 && !tensor; i++)
        tensor = i4q_input_tensor(mul, i);
    *behind = tensor ? count_behind(tensor) : 0;
    return !mul || (*behind && i4q_numbers_open(arena, tensor, numbers, &ignored) && numbers->type &&
                    i4q_numbers_are_floats(numbers));
}

static double ratio_of(const struct i4q_activation_pair *pair, const struct i4q_numbers *constant,
                       size_t channel)
{
    double ratio =
        i4q_activation_number(&pair->decoded_scale, channel) / i4q_activation_number(&pair->scale, channel);
    return constant->type ? ratio * i4q_activation_number(constant, channel) : ratio;
}

/* NULL when memory runs out. */
static const struct i4q_factors *describe(struct i4q_arena *arena, const struct i4q_activation_pair *pair,
                                          const struct i4q_node *mul)
{
    struct i4q_numbers constant = {0};
    struct i4q_factors *factors = i4q_arena_alloc(arena, 1, sizeof *factors);
    size_t behind;
    bool known = open_constant(arena, mul, &constant, &behind) && (!pair->channels || pair->axis == 1);
    size_t channels = pair->channels ? pair->channels : 1, count = constant.type ? constant.count : 1;
    if (!factors || !known || (channels > 1 && count > 1 && channels != count))
        return factors;
    count = channels > count ? channels : count;
    float *ratios = i4q_arena_alloc(arena, count, sizeof *ratios);
    for (size_t i = 0; ratios && i < count; i++)
        ratios[i] = (float)ratio_of(pair, &constant, i);
    *factors = (struct i4q_factors){ratios, count, behind};
    return ratios ? factors : NULL;
}

const struct i4q_factors *const *i4q_factors_find(const struct i4q_inspection *inspection,
                                                  const struct i4q_model *reference)
{
    struct i4q_model *model = inspection->model;
    const struct i4q_factors **all = i4q_arena_alloc(&model->arena, model->graph.n_values, sizeof *all);
    for (size_t i = 0; all && i < inspection->n_activations; i++) {
        const struct i4q_activation_pair *pair = &inspection->activations[i];
        const struct i4q_node *mul = find_mul(pair, reference);
        if (pair->flaw || has(reference, pair->result) || !(mul || scales_channels(pair)))
            continue;
        if (!(all[pair->result->index] = describe(&model->arena, pair, mul)))
            return NULL;
    }
    return all;
}

const struct i4q_factors *i4q_factors_of(const struct i4q_factors *const *all, const struct i4q_conv *conv)
{
    const struct i4q_value *input = i4q_input_value(conv->node, 0);
    return input ? all[input->index] : NULL;
}

/* ---- undoing them */

bool i4q_undoing_open(const struct i4q_factors *factors, const struct i4q_conv *conv,
                      const struct i4q_storage *storage, struct i4q_undoing *undoing)
{
    int64_t groups = i4q_node_int(conv->node->proto, "group", 1);
    *undoing = (struct i4q_undoing){.factors = factors, .kernel = 1};
    if (!factors)
        return true;
    if (!factors->ratios || conv->channel_axis != 0 || storage->rank < 3 || groups < 1 || !storage->count ||
        storage->dims[0] % groups || (factors->behind && factors->behind != storage->rank - 2))
        return false;
    for (size_t i = 2; i < storage->rank; i++)
        undoing->kernel *= (size_t)storage->dims[i];
    undoing->inputs = (size_t)storage->dims[1];
    undoing->outputs = (size_t)(storage->dims[0] / groups);
    undoing->inner = undoing->inputs * undoing->kernel;
    return factors->count == 1 || factors->count == (size_t)groups * undoing->inputs;
}

void i4q_undo_factors(const struct i4q_undoing *undoing, size_t start, size_t n, float *weights)
{
    const struct i4q_factors *factors = undoing->factors;
    for (size_t i = 0; factors && i < n; i++) {
        size_t output = (start + i) / undoing->inner, input = (start + i) % undoing->inner / undoing->kernel;
        size_t channel = output / undoing->outputs * undoing->inputs + input;
        weights[i] *= factors->ratios[factors->count == 1 ? 0 : channel];
    }
}
