// SPDX-License-Identifier: Apache-2.0
#include "quantize/scale_search.h"

#include "base/half.h"

#include <math.h>
#include <string.h>

enum {
    LARGEST = 100, /* percent of the extent */
    SMALLEST = 20,
    STEP = 4,   /* a power of two */
    TILE = 256, /* elements whose errors are added up before the sum is looked at */
    LANES = 4,
    CODES = 256,
};

struct fit {
    const struct i4q_kernels *kernels;
    const struct i4q_format *format;
    const struct i4q_method *method;
    bool half;
    const float *weights;
    size_t n;
    struct i4q_extent extent;
};

/* ---- powers of errors */

/* Brings r, an approximation of a^-0.2, closer. With y = 1 - a r^5 it is r (1 - y)^-0.2, of which this is the
 * series up to y^3. */
static double improve(double r, double a)
{
    double r2 = r * r, y = 1 - a * (r2 * r2) * r;
    return r * (1 + y * (0.2 + y * (0.12 + y * 0.088)));
}

/* With x the square, between 2^-298 and 2^256 where it is not 0, nothing here over- or underflows. */
double i4q_fit_power_2_4(double square)
{
    /* The bits of a positive number are nearly its logarithm; this is -0.2 times it, within 3.2 percent. */
    const uint64_t bias = 0x4cb8a80000000000;
    uint64_t bits;
    double r;
    memcpy(&bits, &square, sizeof bits);
    bits = bias - bits / 5;
    memcpy(&r, &bits, sizeof r);
    r = improve(improve(r, square), square);
    double r2 = r * r;
    return square * (square * (r2 * r2)); /* x^1.2 = x x (x^-0.2)^4; 0 of 0 */
}

/* The sum of n <= TILE numbers. */
static double add_up(const double *values, size_t n)
{
    double lanes[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t lane = 0; lane < LANES; lane++)
            lanes[lane] += values[i + lane];
    for (; i < n; i++)
        lanes[i % LANES] += values[i];
    return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

/* ---- the loss of a grid */

/* What the codes of a grid stand for, from the lowest on. */
static void decode_all(const struct fit *fit, const struct i4q_grid *grid, float decoded[CODES])
{
    int8_t codes[CODES];
    size_t n = 0;
    for (int code = grid->low; code <= grid->high; code++)
        codes[n++] = (int8_t)code;
    fit->kernels->dequantize(codes, n, grid->scale, grid->zero, decoded);
    if (fit->half)
        i4q_half_round(decoded, n);
}

static double tile_loss(const struct fit *fit, const struct i4q_grid *grid, const float *decoded,
                        const float *weights, size_t n)
{
    int8_t codes[TILE];
    double powers[TILE];
    fit->kernels->quantize(weights, n, grid, codes);
    for (size_t i = 0; i < n; i++) {
        double error = (double)weights[i] - (double)decoded[codes[i] - grid->low];
        powers[i] = error * error;
    }
    for (size_t i = 0; fit->method->scale == I4Q_SCALE_L24 && i < n; i++)
        powers[i] = i4q_fit_power_2_4(powers[i]);
    return add_up(powers, n);
}

/* The sum over all weights, or something above `limit` if that is. */
static double loss(const struct fit *fit, const struct i4q_grid *grid, double limit)
{
    float decoded[CODES];
    double sum = 0;
    decode_all(fit, grid, decoded);
    for (size_t i = 0; i < fit->n && sum <= limit; i += TILE)
        sum += tile_loss(fit, grid, decoded, fit->weights + i, fit->n - i < TILE ? fit->n - i : TILE);
    return sum;
}

/* ---- the search */

struct best {
    struct i4q_grid grid;
    double loss;
    int percent;
};

static void try(const struct fit *fit, int percent, struct best *best)
{
    float factor = (float)percent / (float)LARGEST;
    const struct i4q_extent shrunk = {fit->extent.absmax * factor, fit->extent.min * factor,
                                      fit->extent.max * factor};
    struct i4q_grid grid = i4q_grid_choose(fit->format, fit->method, fit->half, &shrunk);
    double found = loss(fit, &grid, best->loss);
    if (found < best->loss || (found == best->loss && percent > best->percent))
        *best = (struct best){grid, found, percent};
}

static struct i4q_grid search(const struct fit *fit)
{
    struct best best = {.loss = INFINITY};
    for (int percent = LARGEST; percent >= SMALLEST; percent -= STEP)
        try(fit, percent, &best);
    for (int step = STEP / 2; step > 0; step /= 2) {
        int middle = best.percent;
        if (middle < LARGEST)
            try(fit, middle + step, &best);
        try(fit, middle - step, &best);
    }
    return best.grid;
}

bool i4q_fit_grid(const struct i4q_kernels *kernels, const struct i4q_format *format,
                  const struct i4q_method *method, bool half, const float *weights, size_t n,
                  struct i4q_grid *grid)
{
    struct fit fit = {
        kernels, format, method, half, weights, n, .extent.absmax = kernels->absmax(weights, n)};
    if (!isfinite(fit.extent.absmax))
        return false;
    kernels->range(weights, n, &fit.extent.min, &fit.extent.max);
    *grid = i4q_method_searches(method) ? search(&fit) : i4q_grid_choose(format, method, half, &fit.extent);
    return true;
}
