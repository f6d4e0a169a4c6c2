#pragma once
// The layers, under Keras's names and with its defaults.

#include "tandem/nn/layers/activations.h"
#include "tandem/nn/layers/attention.h"
#include "tandem/nn/layers/augmentation.h"
#include "tandem/nn/layers/convolution.h"
#include "tandem/nn/layers/core.h"
#include "tandem/nn/layers/merging.h"
#include "tandem/nn/layers/normalization.h"
#include "tandem/nn/layers/pooling.h"
#include "tandem/nn/layers/preprocessing.h"
#include "tandem/nn/layers/recurrent.h"
#include "tandem/nn/layers/regularization.h"
#include "tandem/nn/layers/spatial.h"
