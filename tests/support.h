#pragma once
// What tests share.

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "compiler/pass.h"
#include "ops/op_def.h"
#include "tandem/error.h"
#include "tandem/tensor.h"

namespace tandem::testing {

/// In tests the compiler verifies every graph before and after every pass.
inline const bool passes_are_verified = PipelineOptions::verify_by_default = true;

/// The whole message of the td::Error that `f` throws, or "no error".
template <class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

/// Puts the line number where the expected text says LINE.
inline std::string with_line(std::string text, int line) {
  if (const size_t at = text.find("LINE"); at != std::string::npos) text.replace(at, 4, std::to_string(line));
  return text;
}

/// A sample's attributes: its own, or the op's defaults.
inline AttributeBox attributes_of(const OpDef& op, const Sample& sample) {
  if (sample.attributes.type()) return sample.attributes;
  const AttributeType& type = *op.attributes;
  const std::unique_ptr<std::byte[]> memory(new std::byte[type.size]);
  type.construct(memory.get());
  AttributeBox box(type, memory.get());
  type.destroy(memory.get());
  return box;
}

}  // namespace tandem::testing

/// `expression` throws a td::Error whose whole message is `expected`, with LINE for this line's number.
#define EXPECT_ERROR(expression, expected)                                         \
  EXPECT_EQ(::tandem::testing::message_of([&] { static_cast<void>(expression); }), \
            ::tandem::testing::with_line(expected, __LINE__))
