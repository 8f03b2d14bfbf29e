// An informer against a real API server: what a script cannot prove.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/kube/informer.h"
#include "operator/kube/object_meta.h"
#include "operator/kube/testing/live_cluster.h"

namespace mayfly::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Eventually;
using ::testing::HasSubstr;

struct Item {
  ObjectMeta meta;
  std::string value;

  bool operator==(const Item&) const = default;
};

class InformerLiveTest : public testing::LiveClusterTest {
 protected:
  std::unique_ptr<Informer<Item>> Start(ReflectorOptions options = {.resource = ConfigMaps()}) {
    options.space = space_;
    options.longest_backoff = milliseconds(500);
    auto items = std::make_unique<Informer<Item>>(client(), options, [](const JsonView& object) {
      return Item{ReadMeta(object), std::string(object["data"]["k"].Text())};
    });
    items->AddHandler(heard_.Handler());
    items->Start();
    EXPECT_TRUE(items->WaitSynced(std::chrono::steady_clock::now() + seconds(20)));
    return items;
  }

  std::string ValueOf(const Informer<Item>& items, const std::string& name) const {
    const auto item = items.Get(space_ + "/" + name);
    return item ? item->value : "";
  }

  testing::HeardKeys heard_;
};

TEST_F(InformerLiveTest, SeesWhatIsWrittenAndWhatIsGone) {
  ASSERT_TRUE(client().Create(ConfigMaps(), space_, ConfigMapJson("before", "1")).ok());
  const auto items = Start();
  EXPECT_EQ(ValueOf(*items, "before"), "1");
  ASSERT_TRUE(client().Create(ConfigMaps(), space_, ConfigMapJson("after", "1")).ok());
  EXPECT_TRUE(Eventually([&] { return ValueOf(*items, "after") == "1"; }));
  ASSERT_TRUE(client().Patch(ConfigMaps(), Named("after"), PatchType::kMerge, R"({"data":{"k":"2"}})").ok());
  EXPECT_TRUE(Eventually([&] { return ValueOf(*items, "after") == "2"; }));
  ASSERT_TRUE(client().Delete(ConfigMaps(), Named("before")).ok());
  EXPECT_TRUE(Eventually([&] { return items->size() == 1; }));
}

TEST_F(InformerLiveTest, SeesOnlyWhatItsSelectorsMean) {
  ReflectorOptions options{.resource = ConfigMaps()};
  options.selectors.labels = "app in (x),!hidden";
  const auto items = Start(options);
  ASSERT_TRUE(
      client().Create(ConfigMaps(), space_, ConfigMapJson("b", "1", R"(,"labels":{"app":"y"})")).ok());
  ASSERT_TRUE(
      client().Create(ConfigMaps(), space_, ConfigMapJson("a", "1", R"(,"labels":{"app":"x"})")).ok());
  EXPECT_TRUE(Eventually([&] { return items->size() == 1; }));
  // Leaving the selection is going.
  ASSERT_TRUE(
      client()
          .Patch(ConfigMaps(), Named("a"), PatchType::kMerge, R"({"metadata":{"labels":{"hidden":"1"}}})")
          .ok());
  EXPECT_TRUE(Eventually([&] { return items->size() == 0; }));
}

TEST_F(InformerLiveTest, GoesOnAfterEachWatchThatTheServerEnds) {
  ReflectorOptions options{.resource = ConfigMaps()};
  options.watch_timeout = seconds(1);
  const auto items = Start(options);
  EXPECT_TRUE(Eventually([&] {
    return client_->metrics().Text().find(
               R"(watch_restarts_total{reason="closed",resource="configmaps"} 2)") != std::string::npos;
  }));
  ASSERT_TRUE(client().Create(ConfigMaps(), space_, ConfigMapJson("a", "1")).ok());
  EXPECT_TRUE(Eventually([&] { return items->size() == 1; }));
}

TEST_F(InformerLiveTest, MissesNoDeletionWhenTheServerForgotWhatHappenedWhileItWasAway) {
  for (const char* name : {"stays", "goes"}) {
    ASSERT_TRUE(client().Create(ConfigMaps(), space_, ConfigMapJson(name, "1")).ok());
  }
  const auto items = Start();
  heard_.Take();
  ASSERT_TRUE(server_->Command("kill kube-apiserver").ok());
  EXPECT_TRUE(Eventually([&] { return !items->current(); }));
  EXPECT_EQ(items->size(), 2u);
  // It sleeps while the world changes and the history is thrown away.
  items->Stop();
  ASSERT_TRUE(server_->Command("start kube-apiserver").ok());
  ASSERT_TRUE(client().Delete(ConfigMaps(), Named("goes")).ok());
  ASSERT_TRUE(client().Create(ConfigMaps(), space_, ConfigMapJson("new", "1")).ok());
  ASSERT_TRUE(server_->Command("compact").ok());
  ASSERT_TRUE(server_->Command("kill kube-apiserver").ok());
  ASSERT_TRUE(server_->Command("start kube-apiserver").ok());
  items->Start();
  EXPECT_TRUE(Eventually([&] { return ValueOf(*items, "new") == "1" && items->size() == 2; }));
  EXPECT_THAT(heard_.Take(), ::testing::UnorderedElementsAre(space_ + "/goes", space_ + "/new"));
  EXPECT_THAT(client_->metrics().Text(),
              HasSubstr(R"(watch_restarts_total{reason="expired",resource="configmaps"} 1)"));
}

TEST_F(InformerLiveTest, CatchesUpByItselfAfterTheServerWasAway) {
  const auto items = Start();
  ASSERT_TRUE(server_->Command("kill kube-apiserver").ok());
  EXPECT_TRUE(Eventually([&] { return !items->current(); }));
  ASSERT_TRUE(server_->Command("start kube-apiserver").ok());
  ASSERT_TRUE(client().Create(ConfigMaps(), space_, ConfigMapJson("a", "1")).ok());
  EXPECT_TRUE(Eventually([&] { return items->size() == 1 && items->current(); }));
}

TEST_F(InformerLiveTest, GivesUpAWatchOfAFrozenServerAndGoesOnWhenItThaws) {
  ReflectorOptions options{.resource = ConfigMaps()};
  options.idle_timeout = milliseconds(300);
  const auto items = Start(options);
  ASSERT_TRUE(server_->Command("freeze kube-apiserver").ok());
  EXPECT_TRUE(Eventually([&] { return !items->current(); }));
  ASSERT_TRUE(server_->Command("thaw kube-apiserver").ok());
  ASSERT_TRUE(client().Create(ConfigMaps(), space_, ConfigMapJson("a", "1")).ok());
  EXPECT_TRUE(Eventually([&] { return items->size() == 1; }));
}

TEST_F(InformerLiveTest, FillsItsCacheFromManyPages) {
  for (int i = 0; i < 30; ++i) {
    ASSERT_TRUE(client().Create(ConfigMaps(), space_, ConfigMapJson("c" + std::to_string(i))).ok());
  }
  ReflectorOptions options{.resource = ConfigMaps()};
  options.page = 7;
  EXPECT_EQ(Start(options)->size(), 30u);
}

}  // namespace
}  // namespace mayfly::kube
