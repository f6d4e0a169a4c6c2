#pragma once
// All of Tandem. `namespace td = tandem;` is the usual abbreviation.

#include "tandem/compare.h"
#include "tandem/control_flow.h"
#include "tandem/data/digits.h"
#include "tandem/data/idx.h"
#include "tandem/data/safetensors.h"
#include "tandem/error.h"
#include "tandem/function.h"
#include "tandem/memory.h"
#include "tandem/nn.h"
#include "tandem/ops.h"
#include "tandem/progress.h"
#include "tandem/session.h"
#include "tandem/tape.h"
#include "tandem/tensor.h"
#include "tandem/timeit.h"
#include "tandem/variable.h"
