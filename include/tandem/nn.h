#pragma once
// Layers, models, losses, optimizers: everything in tandem::nn.

#include "tandem/nn/activation.h"
#include "tandem/nn/callback.h"
#include "tandem/nn/constraint.h"
#include "tandem/nn/initializer.h"
#include "tandem/nn/layer.h"
#include "tandem/nn/layers.h"
#include "tandem/nn/loss.h"
#include "tandem/nn/losses.h"
#include "tandem/nn/metric.h"
#include "tandem/nn/metrics.h"
#include "tandem/nn/model.h"
#include "tandem/nn/module.h"
#include "tandem/nn/optimizer.h"
#include "tandem/nn/regularizer.h"
#include "tandem/nn/weights.h"
