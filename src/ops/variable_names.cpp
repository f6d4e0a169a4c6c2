#include "ops/variable_names.h"

#include <mutex>
#include <unordered_map>
#include <unordered_set>

namespace tandem {

namespace {

struct Registry {
  struct Family {
    int living = 0, next = 0;
  };
  std::mutex mutex;
  std::unordered_map<std::string, Family> families;  // by the name that was asked for
  std::unordered_set<std::string> taken;
};

Registry& registry() {
  static auto* const names = new Registry;  // static variables may die after everything else
  return *names;
}

struct Registration {
  std::string wanted, taken;
  ~Registration() {
    Registry& r = registry();
    const std::lock_guard<std::mutex> lock(r.mutex);
    r.taken.erase(taken);
    const auto family = r.families.find(wanted);
    if (--family->second.living == 0) r.families.erase(family);  // numbers begin anew
  }
};

}  // namespace

std::shared_ptr<const void> register_variable_name(std::string& name) {
  auto made = std::make_shared<Registration>();
  Registry& r = registry();
  const std::lock_guard<std::mutex> lock(r.mutex);
  made->wanted = name;
  Registry::Family& family = r.families[name];
  ++family.living;
  do {
    name = made->wanted + (family.next == 0 ? "" : "_" + std::to_string(family.next));
    ++family.next;
  } while (!r.taken.insert(name).second);
  made->taken = name;
  return made;
}

}  // namespace tandem
