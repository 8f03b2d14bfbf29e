// What a person sees: sentences on standard error, colours where there is a terminal.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace mayfly::cli {

enum class Colour { kRed, kGreen, kYellow, kBlue, kDim, kBold };

// `text` in `colour` if `fd` is a terminal that shows colours and NO_COLOR is not set.
std::string Paint(std::string_view text, Colour colour, int fd = 2);

// Writes "mayfly: <sentence>", made printable, to standard error and returns `exit_code`.
int Fail(std::string_view sentence, int exit_code = 1);
// The same with a status' message.
int Fail(const absl::Status& status, int exit_code = 1);

// `text` with its control characters, but ends of lines and tabs, as \xNN: what others wrote does not command a terminal.
std::string Printable(std::string_view text);

// `text` for a shell's command line: quoted where it must be.
std::string ShellQuote(std::string_view text);

}  // namespace mayfly::cli
