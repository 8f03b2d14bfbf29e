#include "cli/table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace mayfly::cli {

std::string Aligned(const std::vector<std::vector<std::string>>& rows) {
  return AlignedRight(rows, rows.front().size());
}

std::string AlignedRight(const std::vector<std::vector<std::string>>& rows, std::size_t first) {
  std::vector<std::size_t> widths(rows.front().size(), 0);
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::size_t blanks = widths[i] - row[i].size();
      if (i > 0) line.append(2, ' ');
      if (i >= first) line.append(blanks, ' ');
      line += row[i];
      if (i < first) line.append(blanks, ' ');
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    absl::StrAppend(&text, line, "\n");
  }
  return text;
}

}  // namespace mayfly::cli
