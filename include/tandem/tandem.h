#pragma once
// All of Tandem. `namespace td = tandem;` is the usual abbreviation.

#include "tandem/error.h"
#include "tandem/memory.h"
#include "tandem/ops.h"
#include "tandem/tensor.h"
#include "tandem/variable.h"
