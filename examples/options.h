#pragma once
// Options of the lessons that have some: `--name value`, each with a default.

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <iostream>
#include <map>
#include <string>
#include <system_error>
#include <utility>

namespace lesson {

/// What the command line says, or the defaults. Ends the program on anything else.
class Options {
 public:
  Options(int argc, char** argv, std::map<std::string, std::string> defaults)
      : program_(argv[0]), defaults_(std::move(defaults)), values_(defaults_) {
    for (int i = 1; i < argc; i += 2) {
      const std::string argument = argv[i];
      const auto known = argument.starts_with("--") ? values_.find(argument.substr(2)) : values_.end();
      if (known == values_.end()) end_with_usage("unknown option " + argument);
      if (i + 1 == argc) end_with_usage(argument + " needs a value");
      known->second = argv[i + 1];
    }
  }

  const std::string& operator[](const std::string& name) const { return values_.at(name); }
  /// A whole number, not negative.
  int64_t number(const std::string& name) const {
    const std::string& text = values_.at(name);
    int64_t result = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result);
    if (error != std::errc() || end != text.data() + text.size() || result < 0)
      end_with_usage("--" + name + " takes a whole number, not '" + text + "'");
    return result;
  }
  /// One of the words that the option may be.
  const std::string& word(const std::string& name, std::initializer_list<const char*> words) const {
    const std::string& text = values_.at(name);
    std::string all;
    for (const char* word : words) {
      if (text == word) return text;
      all += (all.empty() ? "" : ", ") + std::string(word);
    }
    end_with_usage("--" + name + " is one of " + all + ", not '" + text + "'");
  }

 private:
  [[noreturn]] void end_with_usage(const std::string& reason) const {
    std::cerr << reason << "\nusage: " << program_;
    for (const auto& [name, value] : defaults_)
      std::cerr << " [--" << name << ' ' << (value.empty() ? "..." : value) << ']';
    std::cerr << '\n';
    std::exit(2);
  }

  std::string program_;
  std::map<std::string, std::string> defaults_, values_;
};

}  // namespace lesson
