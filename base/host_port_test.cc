#include "base/host_port.h"

#include <gtest/gtest.h>

namespace mayfly::base {
namespace {

TEST(HostPort, TakesBothFormsApart) {
  EXPECT_EQ(SplitHostPort("127.0.0.1:8080"), (HostPort{"127.0.0.1", 8080}));
  EXPECT_EQ(SplitHostPort("operator.mayfly.svc:9443"), (HostPort{"operator.mayfly.svc", 9443}));
  EXPECT_EQ(SplitHostPort("[::1]:65535"), (HostPort{"::1", 65535}));
  EXPECT_EQ(SplitHostPort(":0"), (HostPort{"", 0}));
}

TEST(HostPort, RefusesWhatHasNoPort) {
  for (const char* const text : {"", "localhost", "localhost:", "[::1]", "h:65536", "h:-1", "h:+1", "h: 1",
                                 "h:1 ", "h:http", "h:0x10", "h:99999999999999999999"}) {
    EXPECT_EQ(SplitHostPort(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace mayfly::base
