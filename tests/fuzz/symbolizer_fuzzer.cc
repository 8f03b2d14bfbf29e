// Feeds both ends of the symbolizer's protocol with text that neither of them wrote.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "runtime/symbolizer/protocol.h"

using namespace mayfly::symbolizer;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto frames = ParseQuestion(text);
  // What was understood is understood again.
  if (ParseQuestion(WriteQuestion(frames)) != frames) std::abort();
  for (const Answer& answer : ParseAnswers(text, kMaxFrames)) {
    const auto again = ParseAnswers(WriteAnswer(answer), kMaxFrames);
    if (again.size() != 1 || again[0] != answer) std::abort();
  }
  return 0;
}
