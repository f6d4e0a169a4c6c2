#pragma once
// The one exception type of Tandem.

#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/location.h"

namespace tandem {

/// What kind of failure an Error reports.
enum class ErrorCode {
  invalid_argument,    ///< a user's value, shape, dtype or call was wrong
  not_differentiable,  ///< a gradient was asked for that does not exist
  symbolic_value,      ///< a value was read, or leaked, while tracing
  io,                  ///< a file could not be read or written, or lies
  out_of_memory,       ///< memory could not be had; the library stays usable
  cancelled,           ///< a run was ended by its CancellationToken
  timed_out,           ///< a run took longer than its limit
  internal,            ///< a mistake of Tandem's own
};

/// Everything that fails in Tandem throws this.
/// `what()` reads `op: what was wrong; values seen; values allowed (file.cpp:41)`,
/// then one line per context.
class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message);

  const char* what() const noexcept override { return text_.c_str(); }
  ErrorCode code() const { return code_; }
  /// Display name of the failing op, in snake_case; empty when no op is concerned.
  const std::string& op() const { return op_; }
  Location location() const { return location_; }
  const std::string& message() const { return message_; }
  const std::vector<std::string>& context() const { return context_; }

  /// Names the op and the user's line, unless an inner frame already has.
  void set_origin(std::string_view op, Location where);
  /// Adds one line, such as "in function f", as the error rises.
  void add_context(std::string line);

 private:
  void compose();

  ErrorCode code_;
  std::string message_, op_, text_;
  Location location_;
  std::vector<std::string> context_;
};

}  // namespace tandem
