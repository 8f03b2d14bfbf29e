#include "operator/kube/object_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

namespace mayfly::kube {
namespace {

using ::testing::UnorderedElementsAre;

ObjectCache::Object Number(int value) { return std::make_shared<const int>(value); }

bool SameNumber(const void* a, const void* b) {
  return *static_cast<const int*>(a) == *static_cast<const int*>(b);
}

TEST(ObjectCache, TellsWhatIsNewOrDifferentAndNothingElse) {
  ObjectCache cache(SameNumber);
  EXPECT_TRUE(cache.Put("a", Number(1)));
  EXPECT_FALSE(cache.Put("a", Number(1)));
  EXPECT_TRUE(cache.Put("a", Number(2)));
  EXPECT_TRUE(cache.Remove("a"));
  EXPECT_FALSE(cache.Remove("a"));
  EXPECT_EQ(cache.Get("a"), nullptr);
}

TEST(ObjectCache, TellsWhatAListDoesNotShowAnyMore) {
  ObjectCache cache(SameNumber);
  cache.BeginList();
  for (const char* key : {"a", "b", "c"}) cache.Put(key, Number(1));
  EXPECT_TRUE(cache.EndList().empty());
  cache.BeginList();
  cache.Put("a", Number(1));
  cache.BeginList();  // it had to begin again
  cache.Put("b", Number(2));
  EXPECT_THAT(cache.EndList(), UnorderedElementsAre("a", "c"));
  EXPECT_THAT(cache.Keys(), UnorderedElementsAre("b"));
}

TEST(ObjectCache, AgreesWithAMapOverManyListsAndEvents) {
  ObjectCache cache(SameNumber);
  std::map<std::string, int> model;
  std::minstd_rand random(7);
  for (int round = 0; round < 200; ++round) {
    if (round % 10 == 0) {
      std::map<std::string, int> listed;
      cache.BeginList();
      for (int i = 0; i < 20; ++i) {
        const std::string key(1, static_cast<char>('a' + random() % 26));
        const int value = static_cast<int>(random() % 3);
        cache.Put(key, Number(value));
        listed[key] = value;
      }
      cache.EndList();
      model = listed;
    }
    const std::string key(1, static_cast<char>('a' + random() % 26));
    if (random() % 2 == 0) {
      EXPECT_EQ(cache.Remove(key), model.erase(key) > 0);
    } else {
      const int value = static_cast<int>(random() % 3);
      const bool different = !model.contains(key) || model[key] != value;
      EXPECT_EQ(cache.Put(key, Number(value)), different);
      model[key] = value;
    }
    std::map<std::string, int> seen;
    cache.ForEach([&seen](const std::string& k, const void* v) { seen[k] = *static_cast<const int*>(v); });
    ASSERT_EQ(seen, model);
  }
}

}  // namespace
}  // namespace mayfly::kube
