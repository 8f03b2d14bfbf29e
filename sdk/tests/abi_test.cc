// The layout of the ABI on 64-bit Linux, number by number. A module built years ago depends on each of them:
// a change here is a new major version, unless a struct only grew at its end (then add a line, and change
// none).
#include <gtest/gtest.h>

#include <cstddef>

#include "mayfly/function.h"

namespace {

#define EXPECT_FIELD(type, field, offset) EXPECT_EQ(offsetof(type, field), offset##u) << #type "." #field

TEST(AbiLayout, OfStringsAndPairsIsFixed) {
  EXPECT_EQ(sizeof(mayfly_str), 16u);
  EXPECT_FIELD(mayfly_str, data, 0);
  EXPECT_FIELD(mayfly_str, size, 8);
  EXPECT_EQ(sizeof(mayfly_pair), 32u);
  EXPECT_FIELD(mayfly_pair, name, 0);
  EXPECT_FIELD(mayfly_pair, value, 16);
}

TEST(AbiLayout, OfTheEventOnlyGrowsAtItsEnd) {
  EXPECT_FIELD(mayfly_event, size, 0);
  EXPECT_FIELD(mayfly_event, invocation_id, 8);
  EXPECT_FIELD(mayfly_event, attempt, 24);
  EXPECT_FIELD(mayfly_event, is_http, 28);
  EXPECT_FIELD(mayfly_event, deadline_ns, 32);
  EXPECT_FIELD(mayfly_event, id, 40);
  EXPECT_FIELD(mayfly_event, source, 56);
  EXPECT_FIELD(mayfly_event, type, 72);
  EXPECT_FIELD(mayfly_event, subject, 88);
  EXPECT_FIELD(mayfly_event, time, 104);
  EXPECT_FIELD(mayfly_event, data_content_type, 120);
  EXPECT_FIELD(mayfly_event, attributes, 136);
  EXPECT_FIELD(mayfly_event, attribute_count, 144);
  EXPECT_FIELD(mayfly_event, method, 152);
  EXPECT_FIELD(mayfly_event, path, 168);
  EXPECT_FIELD(mayfly_event, query, 184);
  EXPECT_FIELD(mayfly_event, headers, 200);
  EXPECT_FIELD(mayfly_event, header_count, 208);
  EXPECT_FIELD(mayfly_event, parameters, 216);
  EXPECT_FIELD(mayfly_event, parameter_count, 224);
  EXPECT_FIELD(mayfly_event, body, 232);
  EXPECT_FIELD(mayfly_event, body_size, 240);
  EXPECT_EQ(sizeof(mayfly_event), 248u);
}

TEST(AbiLayout, OfTheHostOnlyGrowsAtItsEnd) {
  EXPECT_FIELD(mayfly_host, size, 0);
  EXPECT_FIELD(mayfly_host, abi_version, 8);
  EXPECT_FIELD(mayfly_host, log, 16);
  EXPECT_FIELD(mayfly_host, reply, 24);
  EXPECT_FIELD(mayfly_host, add_header, 32);
  EXPECT_FIELD(mayfly_host, begin, 40);
  EXPECT_FIELD(mayfly_host, write, 48);
  EXPECT_FIELD(mayfly_host, end, 56);
  EXPECT_FIELD(mayfly_host, fail, 64);
  EXPECT_FIELD(mayfly_host, set_error, 72);
  EXPECT_EQ(sizeof(mayfly_host), 80u);
}

TEST(AbiLayout, OfHandlerAndModuleOnlyGrowsAtItsEnd) {
  EXPECT_FIELD(mayfly_handler, size, 0);
  EXPECT_FIELD(mayfly_handler, name, 8);
  EXPECT_FIELD(mayfly_handler, flags, 16);
  EXPECT_FIELD(mayfly_handler, create, 24);
  EXPECT_FIELD(mayfly_handler, after_fork, 32);
  EXPECT_FIELD(mayfly_handler, handle, 40);
  EXPECT_FIELD(mayfly_handler, destroy, 48);
  EXPECT_EQ(sizeof(mayfly_handler), 56u);
  EXPECT_FIELD(mayfly_module, size, 0);
  EXPECT_FIELD(mayfly_module, abi_version, 8);
  EXPECT_FIELD(mayfly_module, handler_count, 12);
  EXPECT_FIELD(mayfly_module, handlers, 16);
  EXPECT_EQ(sizeof(mayfly_module), 24u);
}

TEST(AbiValues, OfLevelsAndFlagsAreFixed) {
  EXPECT_EQ(MAYFLY_ABI_VERSION, 1u);
  EXPECT_EQ(MAYFLY_NO_FORK, 1u);
  EXPECT_EQ(MAYFLY_DEBUG, 0);
  EXPECT_EQ(MAYFLY_INFO, 1);
  EXPECT_EQ(MAYFLY_WARN, 2);
  EXPECT_EQ(MAYFLY_ERROR, 3);
}

TEST(AbiHas, SaysWhetherAFieldLiesWithinAnOlderStruct) {
  mayfly_host host{};
  host.size = offsetof(mayfly_host, fail);
  EXPECT_TRUE(MAYFLY_HAS(&host, end));
  EXPECT_FALSE(MAYFLY_HAS(&host, fail));
  EXPECT_FALSE(MAYFLY_HAS(&host, set_error));
}

}  // namespace
