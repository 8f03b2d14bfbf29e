#include "cli/terminal.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace mayfly::cli {
namespace {

bool ShowsColours(int fd) {
  const char* const none = std::getenv("NO_COLOR");
  const char* const terminal = std::getenv("TERM");
  return (none == nullptr || *none == '\0') && terminal != nullptr && std::strcmp(terminal, "dumb") != 0 &&
         ::isatty(fd) == 1;
}

const char* Code(Colour colour) {
  switch (colour) {
    case Colour::kRed:
      return "31";
    case Colour::kGreen:
      return "32";
    case Colour::kYellow:
      return "33";
    case Colour::kBlue:
      return "34";
    case Colour::kDim:
      return "2";
    case Colour::kBold:
      return "1";
  }
  return "0";
}

}  // namespace

std::string Paint(std::string_view text, Colour colour, int fd) {
  if (!ShowsColours(fd)) return std::string(text);
  return absl::StrCat("\x1b[", Code(colour), "m", std::string(text), "\x1b[0m");
}

int Fail(std::string_view sentence, int exit_code) {
  std::fflush(stdout);
  const std::string line = absl::StrCat(Paint("mayfly:", Colour::kRed), " ", Printable(sentence), "\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
  return exit_code;
}

int Fail(const absl::Status& status, int exit_code) {
  return Fail(std::string_view(status.message().data(), status.message().size()), exit_code);
}

std::string Printable(std::string_view text) {
  std::string shown;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    // In UTF-8 the control characters above 127 are C2 80 to C2 9F.
    const bool controls = (byte < ' ' && byte != '\n' && byte != '\t') || byte == 0x7f ||
                          (byte == 0xc2 && next >= 0x80 && next <= 0x9f);
    if (controls) {
      absl::StrAppend(&shown, "\\x", absl::Hex(byte, absl::kZeroPad2));
    } else {
      shown += text[i];
    }
  }
  return shown;
}

std::string ShellQuote(std::string_view text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+=,";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string_view::npos) return std::string(text);
  return absl::StrCat("'", absl::StrReplaceAll(std::string(text), {{"'", "'\\''"}}), "'");
}

}  // namespace mayfly::cli
