#include "gateway/delivery/request_batch.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mayfly/v1/runtime.pb.h"

namespace mayfly::gateway {
namespace {

v1::ServeRequest Decoded(RequestBatch& batch) {
  std::vector<std::uint8_t> bytes(batch.EncodedSize());
  batch.EncodeTo(bytes.data());
  v1::ServeRequest request;
  EXPECT_TRUE(request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  return request;
}

TEST(RequestBatch, IsReadBackByProtobufAsTheSameParts) {
  v1::Start start;
  start.set_invocation_id("id-1");
  start.mutable_event()->mutable_http()->set_path("/thumbnails");
  start.set_body_size(5);
  const std::string encoded = start.SerializeAsString();

  RequestBatch batch;
  batch.Add({.call = (1ull << 40) + 7, .start = encoded, .timeout_ms = 30'000, .data = "hello", .end = true});
  batch.Add({.call = 9, .cancel = true});
  batch.Add({.call = 10, .window = 1 << 20});

  const v1::ServeRequest request = Decoded(batch);
  ASSERT_EQ(request.parts_size(), 3);
  EXPECT_EQ(request.parts(0).call(), (1ull << 40) + 7);
  EXPECT_EQ(request.parts(0).start().invocation_id(), "id-1");
  EXPECT_EQ(request.parts(0).start().event().http().path(), "/thumbnails");
  EXPECT_EQ(request.parts(0).start().timeout_ms(), 30'000u);
  EXPECT_EQ(request.parts(0).start().body_size(), 5u);
  EXPECT_EQ(request.parts(0).data(), "hello");
  EXPECT_TRUE(request.parts(0).end());
  EXPECT_FALSE(request.parts(0).cancel());
  EXPECT_TRUE(request.parts(1).cancel());
  EXPECT_FALSE(request.parts(1).has_start());
  EXPECT_EQ(request.parts(2).window(), 1u << 20);
}

TEST(RequestBatch, KeepsWhatItsViewsPointAtUntilCleared) {
  auto owner = std::make_shared<std::string>("body");
  RequestBatch batch;
  batch.Add({.call = 1, .owner = owner, .data = *owner});
  EXPECT_EQ(owner.use_count(), 2);
  EXPECT_EQ(Decoded(batch).parts(0).data(), "body");
  batch.Clear();
  EXPECT_TRUE(batch.empty());
  EXPECT_EQ(owner.use_count(), 1);
}

}  // namespace
}  // namespace mayfly::gateway
