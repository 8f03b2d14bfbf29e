// Tables of text, as commands print them.
#pragma once

#include <string>
#include <vector>

namespace mayfly::cli {

// `rows` as lines, their columns two blanks apart. REQUIRES: there is a row, and none is longer than the first.
std::string Aligned(const std::vector<std::vector<std::string>>& rows);

// The same, columns from number `first` on flush right: numbers.
std::string AlignedRight(const std::vector<std::vector<std::string>>& rows, std::size_t first);

}  // namespace mayfly::cli
