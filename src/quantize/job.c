// SPDX-License-Identifier: Apache-2.0
#include "quantize/job.h"

#include "base/checked.h"
#include "base/half.h"

#include <math.h>

size_t i4q_job_count(const struct i4q_quantize_job *job)
{
    return job->outer * job->channels * job->inner;
}

size_t i4q_job_blocks(const struct i4q_quantize_job *job)
{
    return job->block ? i4q_div_up(job->inner, job->block) : 1;
}

size_t i4q_job_scales(const struct i4q_quantize_job *job)
{
    return job->channels * i4q_job_blocks(job);
}

void i4q_job_multiply(const struct i4q_quantize_job *job, size_t start, size_t n, float *weights)
{
    size_t kernel = job->kernel ? job->kernel : 1, groups = job->groups ? job->groups : 1;
    for (size_t i = 0; job->factors && i < n; i++) {
        size_t channel = (start + i) / job->inner, input = (start + i) % job->inner / kernel;
        size_t group = channel / (job->channels / groups);
        weights[i] *= job->factors[group * (job->inner / kernel) + input];
    }
}

size_t i4q_job_element(const struct i4q_quantize_job *job)
{
    return i4q_real_size(job->half);
}

size_t i4q_job_code_bytes(const struct i4q_quantize_job *job)
{
    return i4q_format_bytes(job->format, i4q_job_count(job));
}

size_t i4q_job_scale_bytes(const struct i4q_quantize_job *job)
{
    return i4q_job_scales(job) * i4q_job_element(job);
}

size_t i4q_job_zero_bytes(const struct i4q_quantize_job *job)
{
    return i4q_format_bytes(job->format, i4q_job_scales(job));
}

bool i4q_job_has_zero_points(const struct i4q_quantize_job *job)
{
    return job->asymmetric || job->format->zero;
}

int i4q_job_zero_point(const struct i4q_quantize_job *job, size_t index)
{
    return job->zero_points ? i4q_format_load(job->format, job->zero_points, index) : job->format->zero;
}

struct i4q_grid i4q_job_fit_grid(const struct i4q_quantize_job *job, const struct i4q_grid *grid)
{
    struct i4q_grid fitting = *grid;
    if (job->narrow)
        fitting.scale = i4q_half_to_float(i4q_half_above(grid->scale));
    return fitting;
}

void i4q_job_store_grid(const struct i4q_quantize_job *job, size_t index, const struct i4q_grid *grid)
{
    i4q_real_store(job->scales, job->half, index, grid->scale);
    if (job->zero_points)
        i4q_format_store(job->format, job->zero_points, index, grid->zero);
}

struct i4q_grid i4q_job_load_grid(const struct i4q_quantize_job *job, size_t index)
{
    return i4q_grid_make(job->format, job->method, i4q_real_load(job->scales, job->half, index),
                         i4q_job_zero_point(job, index));
}

double i4q_job_decoded(const struct i4q_quantize_job *job, size_t i)
{
    size_t block = job->block ? job->block : job->inner;
    size_t index = i / job->inner * i4q_job_blocks(job) + i % job->inner / block;
    int code = i4q_format_load(job->format, job->codes, i) - i4q_job_zero_point(job, index);
    return (double)code * (double)i4q_real_load(job->scales, job->half, index);
}

/* In the place of another one. */
static void replace_code(const struct i4q_quantize_job *job, size_t i, int code)
{
    unsigned bits = job->format->bits, shift = (unsigned)(i * bits % 8), mask = ((1u << bits) - 1) << shift;
    uint8_t *byte = job->codes + i * bits / 8;
    *byte = (uint8_t)((*byte & ~mask) | ((unsigned)code << shift & mask));
}

void i4q_job_rescale(const struct i4q_quantize_job *job, size_t channel, float scale)
{
    double ratio = (double)i4q_real_load(job->scales, job->half, channel) / (double)scale;
    int zero = i4q_job_zero_point(job, channel);
    for (size_t i = channel * job->inner; i < (channel + 1) * job->inner; i++) {
        int code = i4q_format_load(job->format, job->codes, i);
        replace_code(job, i, zero + (int)rint((code - zero) * ratio));
    }
    i4q_real_store(job->scales, job->half, channel, scale);
}
