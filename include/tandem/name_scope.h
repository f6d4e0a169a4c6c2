#pragma once
// Names that say where things belong.

#include <string>
#include <string_view>

namespace tandem {

namespace detail {
/// What a level's name stands before.
enum class Named : unsigned char { all, operations };

/// One level of the names of this thread; levels nest.
class NameLevel {
 public:
  explicit NameLevel(std::string_view name, Named named = Named::all);  // the text must outlive this
  ~NameLevel();
  NameLevel(const NameLevel&) = delete;
  NameLevel& operator=(const NameLevel&) = delete;

  /// "outer/inner/name", of the levels that are open on this thread: of an operation, or of anything else.
  static std::string full_name(std::string_view name, Named of = Named::all);
  static bool any();

 private:
  std::string_view name_;
  Named named_;
  const NameLevel* outer_;
};
}  // namespace detail

/// Puts its name before those of variables made and operations traced during its life.
///
///     td::NameScope scope("encoder");
///     td::Variable w(td::zeros({3}), {.name = "w"});   // encoder/w
///
/// Errors: an empty name.
class NameScope {
 public:
  explicit NameScope(std::string name);

 private:
  std::string name_;
  detail::NameLevel level_;
};

}  // namespace tandem
