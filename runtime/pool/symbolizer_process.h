// Running mayfly-symbolizer once.
#pragma once

#include <chrono>
#include <string>

namespace mayfly::runtime {

struct SymbolizerOutput {
  std::string text;       // hostile, at most symbolizer::kMaxAnswerBytes
  bool complete = false;  // it ended by itself, and well
};

// Blocks until the program has ended, until `deadline`, or until `stop_fd` is readable; then nothing is left of it.
SymbolizerOutput RunSymbolizer(const std::string& program, const std::string& module_path,
                               const std::string& question, std::chrono::steady_clock::time_point deadline,
                               int stop_fd);

}  // namespace mayfly::runtime
