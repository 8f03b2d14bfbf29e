#include "cli/log_printer.h"

#include "absl/strings/str_cat.h"
#include "base/log_sink.h"
#include "cli/terminal.h"

namespace mayfly::cli {
namespace {

constexpr std::size_t kMostQueued = base::LineSink::kMostBytes / 4 * 3;

}  // namespace

void LogPrinter::Print(const std::string& function, std::string_view line) const {
  base::log::Sink().Write(Shown(function, line), kMostQueued);
}

std::string LogPrinter::Shown(const std::string& function, std::string_view line) const {
  if (!pretty_) return std::string(line);
  std::string name = function.starts_with("default/") ? function.substr(8) : function;
  std::string text(line);
  if (line.find("level=error") != std::string_view::npos) {
    text = Paint(text, Colour::kRed);
  } else if (line.find("level=warn") != std::string_view::npos) {
    text = Paint(text, Colour::kYellow);
  }
  return absl::StrCat(Paint(name, Colour::kBlue), " ", text);
}

}  // namespace mayfly::cli
