#include "tandem/error.h"

#include <utility>

namespace tandem {

Error::Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) { compose(); }

void Error::set_origin(std::string_view op, Location where) {
  if (op_.empty()) op_ = op;
  if (!location_.known()) location_ = where;
  compose();
}

void Error::add_context(std::string line) {
  context_.push_back(std::move(line));
  compose();
}

void Error::compose() {
  text_ = op_.empty() ? message_ : op_ + ": " + message_;
  if (location_.known())
    text_ += std::string(" (") + location_.file_name() + ":" + std::to_string(location_.line) + ")";
  for (const std::string& line : context_) text_ += "\n  " + line;
}

}  // namespace tandem
