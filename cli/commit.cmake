# Writes OUTPUT, which says which commit of the checkout ROOT this is; "" outside of one. An OUTPUT that says so already
# keeps its time, so that nothing is compiled for it.
execute_process(COMMAND git -C ${ROOT} rev-parse --short=12 HEAD
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[
#include "cli/commit.h"

namespace mayfly::cli {

const char kCommit[] = "@commit@";

}  // namespace mayfly::cli
]])
