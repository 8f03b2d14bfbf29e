// Where the lines of base/log.h go: standard error, for this process' whole life. For text that has no level, such as other
// processes' lines.
//
// Whoever logs never waits for whoever reads: see LineSink. A program that ends waits a moment for its last lines.
#pragma once

#include "base/line_sink.h"

namespace mayfly::base::log {

LineSink& Sink();

}  // namespace mayfly::base::log
