// Where a worker crashed, as "thumbnail.so+0x1a2b" per frame, innermost first: what addr2line and gdb understand.
//
// Reads nothing but the worker's own notes, which are hostile: bounded text in, bounded text out.
#pragma once

#include <string>
#include <vector>

#include "runtime/pool/death.h"

namespace mayfly::runtime {

// Frames outside every executable mapping are given as plain addresses.
std::vector<std::string> DescribeFrames(const CrashNotes& notes);

}  // namespace mayfly::runtime
