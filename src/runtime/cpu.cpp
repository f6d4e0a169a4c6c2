#include "runtime/cpu.h"

namespace tandem::runtime {

InstructionSet instruction_set() {
#if defined(__x86_64__)
  static const InstructionSet best = [] {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2"))
      return InstructionSet::baseline;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
      return InstructionSet::avx512;
    return InstructionSet::avx2;
  }();
  return best;
#else
  return InstructionSet::baseline;
#endif
}

}  // namespace tandem::runtime
