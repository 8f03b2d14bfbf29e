// A static constructor that throws while the module is mapped.
#include <stdexcept>

#include "test_module.h"

namespace {

struct Thrower {
  Thrower() { throw std::runtime_error("thrown by a static constructor"); }
};
Thrower thrower;

}  // namespace

static int handle(void*, const mayfly_event*, mayfly_response* response) {
  return reply_text(response, "impossible");
}

TEST_MODULE(NULL, NULL, handle, NULL, 0);
