// Writes to address 0x10 in a C++ function that takes a class of its namespace.
#include "test_module.h"

namespace pictures {

struct Image {
  long width;
};

__attribute__((noinline)) int resize(const Image& image) {
  if (image.width >= 0) *reinterpret_cast<volatile long*>(image.width + 0x10) = 1;
  return 0;
}

}  // namespace pictures

static int harm(void*, const mayfly_event* event, mayfly_response*) {
  const pictures::Image image{query_number(event, "width", 0)};
  return pictures::resize(image);
}

HOSTILE_MODULE(harm);
