#pragma once
// All operations.

#include "tandem/ops/activation.h"
#include "tandem/ops/convolution.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/indexing.h"
#include "tandem/ops/linalg.h"
#include "tandem/ops/linear.h"
#include "tandem/ops/logic.h"
#include "tandem/ops/loss.h"
#include "tandem/ops/math.h"
#include "tandem/ops/normalization.h"
#include "tandem/ops/pooling.h"
#include "tandem/ops/random.h"
#include "tandem/ops/recurrent.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"
#include "tandem/ops/training.h"
