// SPDX-License-Identifier: Apache-2.0
/*
 * libint4q_ort.so: the operator com.int4q::ConvNBits for ONNX Runtime, a Conv that computes from weights of 4
 * or 8 bits. docs/conv_nbits.md says what it computes.
 *
 *     C        api->RegisterCustomOpsLibrary_V2(options, "/usr/lib/libint4q_ort.so")
 *     Python   options.register_custom_ops_library("/usr/lib/libint4q_ort.so")
 *
 * Programs that link the library, or dlopen() it themselves, call RegisterCustomOps() on the options of each
 * session. Needs ONNX Runtime 1.19 or later. The environment variable INT4Q_CPU picks a kernel set.
 */
#ifndef INT4Q_ORT_H
#define INT4Q_ORT_H

#define INT4Q_ORT_DOMAIN  "com.int4q"
#define INT4Q_ORT_OP      "ConvNBits"
#define INT4Q_ORT_VERSION 1 /* of the domain, and of the operator */

/* The values of the attribute `activation`. */
enum int4q_ort_activation {
    INT4Q_ORT_NONE = 0,
    INT4Q_ORT_SILU = 1,       /* y * sigmoid(y) */
    INT4Q_ORT_RELU = 2,       /* max(y, 0) */
    INT4Q_ORT_LEAKY_RELU = 3, /* alpha * y where y < 0 */
    INT4Q_ORT_HARD_SWISH = 4, /* y * max(0, min(1, y / 6 + 1 / 2)) */
    INT4Q_ORT_SIGMOID = 5,    /* 1 / (1 + exp(-y)) */
    INT4Q_ORT_CLIP = 6,       /* min(max(y, alpha), beta) */
};

#ifdef __cplusplus
extern "C" {
#endif

struct OrtStatus;
struct OrtSessionOptions;
struct OrtApiBase;

/* Adds the operator to the options of a session; it stays registered for as long as the library is loaded,
 * which must be as long as the session lives. Thread-safe. NULL, or a status that the caller releases. With
 * an ONNX Runtime that is too old nothing is registered, since a status cannot be made: a session of a model
 * that has no function body for the operator then says that it does not know it. */
struct OrtStatus *RegisterCustomOps(struct OrtSessionOptions *options, const struct OrtApiBase *api);

#ifdef __cplusplus
}
#endif

#endif
