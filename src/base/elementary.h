// SPDX-License-Identifier: Apache-2.0
/*
 * Elementary functions that have the same bits on every machine, which those of C libraries have not: glibc
 * picks others where the CPU has fused multiply-adds, and musl and macOS have their own. Wherever a result
 * decides what is written these are used. Only additions, multiplications, divisions and exact scaling by
 * powers of two, in an order that is fixed.
 *
 * Errors in units in the last place, which tests/base/test_elementary.c holds them to: exp, exp2 1,
 * expm1 1.5, log10 2, tanh 3. Arguments and results of no size, infinite or NaN, are as C has them.
 */
#ifndef INT4Q_BASE_ELEMENTARY_H
#define INT4Q_BASE_ELEMENTARY_H

double i4q_exp(double x);
double i4q_exp2(double x);
double i4q_expm1(double x);
double i4q_log10(double x);
double i4q_tanh(double x);

#endif
