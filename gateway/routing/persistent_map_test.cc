#include "gateway/routing/persistent_map.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>

namespace mayfly::gateway {
namespace {

TEST(PersistentMap, BehavesLikeAStandardMapAndLeavesOldCopiesAlone) {
  const bool holds = rc::check([](const std::vector<std::pair<std::uint8_t, bool>>& steps) {
    PersistentMap<int> map;
    std::map<std::string, int> model;
    int value = 0;
    for (const auto& [number, add] : steps) {
      const std::string key = std::to_string(number);
      const PersistentMap<int> old = map;
      const std::map<std::string, int> old_model = model;
      if (add) {
        map = map.With(key, ++value);
        model[key] = value;
      } else {
        map = map.Without(key);
        model.erase(key);
      }
      RC_ASSERT(map.size() == model.size());
      RC_ASSERT(old.size() == old_model.size());
      for (const auto& [name, expected] : old_model) RC_ASSERT(*old.Find(name) == expected);
    }
    std::map<std::string, int> seen;
    map.ForEach([&](const std::string& name, int held) { seen[name] = held; });
    RC_ASSERT(seen == model);
  });
  EXPECT_TRUE(holds);
}

TEST(PersistentMap, FindsEachOfTenThousand) {
  PersistentMap<int> map;
  for (int i = 0; i < 10000; ++i) map = map.With(std::to_string(i), i);
  for (int i = 0; i < 10000; ++i) ASSERT_EQ(*map.Find(std::to_string(i)), i);
  EXPECT_EQ(map.Find("10000"), nullptr);
}

}  // namespace
}  // namespace mayfly::gateway
