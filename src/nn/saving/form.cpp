#include "nn/saving/form.h"

#include <map>

#include "core/check.h"

namespace tandem::nn::detail {

namespace {

constexpr int deepest = 64;

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
         c == '-' || c == '/';
}

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

class FormParser {
 public:
  explicit FormParser(std::string_view text) : text_(text) {}

  Form parse_all() {
    Form form = parse(0);
    if (at_ != text_.size()) refuse();
    return form;
  }

 private:
  [[noreturn]] void refuse() const {
    fail(ErrorCode::io, "\"{}\" is no form of a structure at position {}", text_, at_);
  }
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  Form parse(int depth) {
    if (depth > deepest) refuse();
    if (take('*')) return Form(leaves_++);
    if (take('[')) {
      std::vector<Form> list;
      if (take(']')) return Form(list);
      do list.push_back(parse(depth + 1));
      while (take(','));
      if (!take(']')) refuse();
      return Form(list);
    }
    if (!take('{')) refuse();
    std::map<std::string, Form> entries;
    if (take('}')) return Form(entries);
    do {
      const size_t begin = at_;
      while (at_ < text_.size() && (is_plain(text_[at_]) || text_[at_] == '%')) ++at_;
      const std::string key = unescaped(text_.substr(begin, at_ - begin));
      if (!take(':') || !entries.emplace(key, parse(depth + 1)).second) refuse();
    } while (take(','));
    if (!take('}')) refuse();
    return Form(entries);
  }

  std::string_view text_;
  size_t at_ = 0;
  int leaves_ = 0;
};

}  // namespace

std::string escaped(std::string_view text) {
  constexpr const char* digits = "0123456789ABCDEF";
  std::string result;
  for (char c : text) {
    if (is_plain(c)) {
      result += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    result += '%';
    result += digits[byte / 16];
    result += digits[byte % 16];
  }
  return result;
}

std::string unescaped(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      result += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? digit(text[i + 1]) : -1;
    const int low = high >= 0 ? digit(text[i + 2]) : -1;
    TD_CHECK(low >= 0, ErrorCode::io, "\"{}\" is no escaped text", text);
    result += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return result;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ",") + escaped(name);
  return text;
}

std::vector<std::string> split_names(std::string_view text) {
  std::vector<std::string> names;
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    names.push_back(unescaped(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return names;
}

Form parse_form(std::string_view text) { return FormParser(text).parse_all(); }

}  // namespace tandem::nn::detail
