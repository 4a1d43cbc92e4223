// SPDX-License-Identifier: Apache-2.0
#include "quantize/job.h"

#include "base/checked.h"
#include "base/half.h"

#include <string.h>

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

size_t i4q_job_element(const struct i4q_quantize_job *job)
{
    return job->half ? sizeof(uint16_t) : sizeof(float);
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

int i4q_job_zero_point(const struct i4q_quantize_job *job, size_t index)
{
    if (!job->zero_points)
        return job->format->zero;
    int zero = job->zero_points[index / 2] >> 4 * (index % 2) & 15;
    return job->format->code_min < 0 ? (zero ^ 8) - 8 : zero;
}

void i4q_job_store_grid(const struct i4q_quantize_job *job, size_t index, const struct i4q_grid *grid)
{
    uint16_t half = i4q_half_from_float(grid->scale);
    size_t size = i4q_job_element(job);
    memcpy((char *)job->scales + index * size, job->half ? (const void *)&half : &grid->scale, size);
    /* The bytes start as zeros, and no two threads share one: chunks have an even number of channels. */
    if (job->zero_points)
        job->zero_points[index / 2] |= (uint8_t)((grid->zero & 15) << 4 * (index % 2));
}

struct i4q_grid i4q_job_load_grid(const struct i4q_quantize_job *job, size_t index)
{
    uint16_t half;
    float scale;
    size_t size = i4q_job_element(job);
    memcpy(job->half ? (void *)&half : &scale, (const char *)job->scales + index * size, size);
    return i4q_grid_make(job->format, job->method, job->half ? i4q_half_to_float(half) : scale,
                         i4q_job_zero_point(job, index));
}
