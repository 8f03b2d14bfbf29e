// The C header first and alone, in C++; the C++ layer over it.
// clang-format off
#include "mayfly/function.h"
#include "mayfly/function.hpp"
// clang-format on

static_assert(MAYFLY_ABI_VERSION == 1);
