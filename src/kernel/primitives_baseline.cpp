// The primitives for baseline; see primitives.inc.

#define TANDEM_ISA isa_baseline
#define TANDEM_ISA_NAME "baseline"
#define TANDEM_ISA_TABLE baseline_primitives
#include "kernel/primitives.inc"
