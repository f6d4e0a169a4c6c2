#pragma once
// How the demo speaks: headings, paragraphs, code, and checks that can fail.

#include <string_view>

namespace tandem::cli {

void heading(int act, std::string_view title);
/// Text of any length, broken at the width of a page.
void paragraph(std::string_view text);
/// Source code or output, shown as it is, indented.
void code(std::string_view text);
/// Lines that are laid out already.
void table(std::string_view text);
/// Says whether something that must hold does, and returns that.
bool check(bool holds, std::string_view what);

}  // namespace tandem::cli
