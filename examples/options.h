#pragma once
// Options of the lessons that have some: `--name value`, each with a default.

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>
#include <utility>

namespace lesson {

/// What the command line says, or the defaults. Ends the program on anything else.
class Options {
 public:
  Options(int argc, char** argv, std::map<std::string, std::string> defaults) : values_(std::move(defaults)) {
    for (int i = 1; i < argc; i += 2) {
      const std::string argument = argv[i];
      const auto known = argument.starts_with("--") ? values_.find(argument.substr(2)) : values_.end();
      if (known == values_.end() || i + 1 == argc) end_with_usage(argv[0]);
      known->second = argv[i + 1];
    }
  }

  const std::string& operator[](const std::string& name) const { return values_.at(name); }
  int64_t number(const std::string& name) const { return std::stoll(values_.at(name)); }

 private:
  void end_with_usage(const char* program) const {
    std::cerr << "usage: " << program;
    for (const auto& [name, value] : values_)
      std::cerr << " [--" << name << ' ' << (value.empty() ? "..." : value) << ']';
    std::cerr << '\n';
    std::exit(2);
  }

  std::map<std::string, std::string> values_;
};

}  // namespace lesson
