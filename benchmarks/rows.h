#pragma once
// The rows of `./run bench`. Each function adds its own to the harness, against the peer where there is one.

#include "harness.h"
#include "peers.h"

namespace tandem::bench {

void small_rows(Harness& harness, const Peer* torch);
void control_rows(Harness& harness);
void convolution_rows(Harness& harness);
void data_rows(Harness& harness);
void loading_rows(Harness& harness);
void network_rows(Harness& harness, const Peer* torch);
void training_rows(Harness& harness, const Peer* torch);
void fit_rows(Harness& harness);

}  // namespace tandem::bench
