// The primitives for avx512; see primitives.inc.

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define TANDEM_ISA isa_avx512
#define TANDEM_ISA_NAME "avx512"
#define TANDEM_ISA_TABLE avx512_primitives
#include "kernel/primitives.inc"
#endif
