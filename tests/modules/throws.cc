// Throws a std::runtime_error out of handle, against the rules: the C++ layer of the SDK would catch it.
#include <stdexcept>

#include "test_module.h"

static int harm(void*, const mayfly_event* event, mayfly_response*) {
  throw std::runtime_error(query_text(event, "message", "thrown by the test"));
}

HOSTILE_MODULE(harm);
