#include "base/stable_hash.h"

#include <gtest/gtest.h>

namespace mayfly::base {
namespace {

// Of the authors' own list of test vectors.
TEST(StableHash, IsFnv1a) {
  EXPECT_EQ(StableHash(""), 0xcbf29ce484222325u);
  EXPECT_EQ(StableHash("a"), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(StableHash("foobar"), 0x85944171f73967e8u);
}

}  // namespace
}  // namespace mayfly::base
