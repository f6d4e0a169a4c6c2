#pragma once
// Running the command `tandem` from tests.

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

namespace tandem::testing {

struct Outcome {
  int status = -1;
  std::string output;  // both streams
};

inline Outcome run(const std::string& arguments) {
  std::FILE* pipe = popen((TANDEM_COMMAND " " + arguments + " 2>&1").c_str(), "r");
  Outcome outcome;
  std::array<char, 4096> buffer;
  while (const size_t size = std::fread(buffer.data(), 1, buffer.size(), pipe))
    outcome.output.append(buffer.data(), size);
  outcome.status = WEXITSTATUS(pclose(pipe));
  return outcome;
}

}  // namespace tandem::testing
