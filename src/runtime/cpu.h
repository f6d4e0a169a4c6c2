#pragma once
// Which instruction sets this machine has.

namespace tandem::runtime {

enum class InstructionSet { baseline, avx2, avx512 };

/// The best one for which Tandem has kernels. avx2 includes FMA and F16C; avx512 F, VL, DQ and BW too.
InstructionSet instruction_set();

}  // namespace tandem::runtime
