// SPDX-License-Identifier: Apache-2.0
#include "forms/origin.h"

const struct i4q_dialect_row i4q_dialects[] = {
    [I4Q_DIALECT_QUANT] = {"quant", "Quant"},  [I4Q_DIALECT_BIPOLAR] = {"bipolar", "BipolarQuant"},
    [I4Q_DIALECT_QCDQ] = {"qcdq", "QCDQ"},     [I4Q_DIALECT_QDQ] = {"qdq", "QDQ"},
    [I4Q_DIALECT_INT8] = {"int8", "8 bit DQ"}, [I4Q_DIALECT_FINN] = {"finn", "FINN"},
};
