// SPDX-License-Identifier: Apache-2.0
/* The machines that this is written for: a build for another would be wrong without a word. */
#include <float.h>
#include <stdint.h>

/* Payloads and files of other tools are little-endian, and copied as they are. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "int4q needs a little-endian machine");

/* Sizes of files, and limits beyond 4 GiB, are size_t. */
_Static_assert(SIZE_MAX == UINT64_MAX, "int4q needs 64 bits");

/* The same bytes everywhere: float is computed as float, double as double, neither as more. */
_Static_assert(FLT_EVAL_METHOD == 0 && FLT_RADIX == 2 && FLT_MANT_DIG == 24 && DBL_MANT_DIG == 53,
               "int4q needs IEEE 754 arithmetic without excess precision");
