// Where a worker crashed, one line per frame, innermost first:
//   #0 resize(Image const&) at src/thumbnail.cc:42 (thumbnail.so+0x1a2b)
// or "#0 thumbnail.so+0x1a2b", the place in the file, if nobody knows more.
//
// Reads nothing but the worker's own notes and the symbolizer's answers, which are hostile: bounded text in, bounded
// text out.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "runtime/pool/death.h"
#include "runtime/symbolizer/protocol.h"

namespace mayfly::runtime {

// By the mappings in the notes, one per frame; outside of every file the path is "" and the offset the address.
std::vector<symbolizer::FileOffset> LocateFrames(const CrashNotes& notes);

std::vector<std::string> DescribeFrames(std::span<const symbolizer::FileOffset> frames,
                                        std::span<const symbolizer::Answer> answers);

}  // namespace mayfly::runtime
