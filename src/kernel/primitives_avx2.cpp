// The primitives for avx2; see primitives.inc.

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define TANDEM_ISA isa_avx2
#define TANDEM_ISA_NAME "avx2"
#define TANDEM_ISA_TABLE avx2_primitives
#include "kernel/primitives.inc"
#endif
