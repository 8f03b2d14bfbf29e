#include "cli/exit_codes.h"

namespace mayfly::cli {

std::string ExitCodesText() {
  return "mayfly exits with\n"
         "  0  done\n"
         "  1  failed: the sentence on standard error says why and what to do\n"
         "  2  the command line is wrong: nothing was done\n"
         "  3  no `mayfly up` runs here\n"
         "  4  there is no such function\n"
         "  5  the function failed, crashed, timed out, or answered with a status of 400 or more\n"
         "  6  a build failed\n"
         "  130  ended by a second Ctrl-C\n";
}

}  // namespace mayfly::cli
