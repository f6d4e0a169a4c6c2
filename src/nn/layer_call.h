#pragma once
// How public functions of this folder name themselves and the user's line in errors.

#include "core/named.h"
#include "ops/dispatch.h"

namespace tandem::nn::detail {

/// The line of the outermost library call that is going on, or `where`.
inline Location call_line(Location where) {
  return tandem::detail::current_call_site ? *tandem::detail::current_call_site : where;
}

/// Whether a layer is being called on this thread.
bool is_in_layer_call();

/// Runs `f` as the public function `name` called at `where`: an error without an origin gets this one.
template <class F>
decltype(auto) in_call(std::string_view name, Location where, F&& f) {
  return tandem::detail::named(name, call_line(where), std::forward<F>(f));
}

/// An error of something inside names a line of its own, such as that where a layer was made: says, too,
/// which call of the user's it ended.
void add_user_call(Error& error, std::string_view name, Location where);

/// As in_call, and operations inside count as called there.
template <class F>
decltype(auto) at_line(std::string_view name, Location where, F&& f) {
  const CallSite site(where);
  return in_call(name, where, std::forward<F>(f));
}

/// A layer around code of the user's: what the layer does itself counts as called at `where`, and what runs
/// `outside` has the lines it would have without the layer.
class AroundUserCode {
 public:
  explicit AroundUserCode(Location where) : before_(tandem::detail::current_call_site), site_(where) {}
  template <class F>
  decltype(auto) outside(F&& f) const {
    const Restored restored(before_);
    return f();
  }

 private:
  struct Restored {
    const Location* inside = tandem::detail::current_call_site;
    explicit Restored(const Location* before) { tandem::detail::current_call_site = before; }
    ~Restored() { tandem::detail::current_call_site = inside; }
    Restored(const Restored&) = delete;
    Restored& operator=(const Restored&) = delete;
  };

  const Location* before_;
  CallSite site_;
};

}  // namespace tandem::nn::detail
