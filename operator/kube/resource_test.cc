#include "operator/kube/resource.h"

#include <gtest/gtest.h>

namespace mayfly::kube {
namespace {

const Resource kFunctions{"mayfly.dev", "v1alpha1", "functions", "Function"};
const Resource kNodes{"", "v1", "nodes", "Node", false};

TEST(Resource, HasThePathsOfTheApi) {
  EXPECT_EQ(CollectionPath(Pods(), "photos"), "/api/v1/namespaces/photos/pods");
  EXPECT_EQ(CollectionPath(Pods(), ""), "/api/v1/pods");
  EXPECT_EQ(ObjectPath(kNodes, {.space = "", .name = "a", .subresource = ""}), "/api/v1/nodes/a");
  EXPECT_EQ(ObjectPath(kFunctions, {.space = "photos", .name = "thumbnail", .subresource = "status"}),
            "/apis/mayfly.dev/v1alpha1/namespaces/photos/functions/thumbnail/status");
  EXPECT_EQ(kFunctions.ApiVersion(), "mayfly.dev/v1alpha1");
  EXPECT_EQ(Pods().ApiVersion(), "v1");
}

TEST(Resource, LetsNoNameLeaveItsPlaceInThePath) {
  EXPECT_EQ(ObjectPath(Pods(), {.space = "a/b", .name = "../x?y", .subresource = ""}),
            "/api/v1/namespaces/a%2Fb/pods/..%2Fx%3Fy");
}

TEST(Query, EncodesValuesAndLeavesOutEmptyOnes) {
  EXPECT_EQ(Query({{"labelSelector", "a=b,c in (d)"}, {"limit", ""}, {"watch", "true"}}),
            "?labelSelector=a%3Db%2Cc%20in%20%28d%29&watch=true");
  EXPECT_EQ(Query({{"limit", ""}}), "");
}

}  // namespace
}  // namespace mayfly::kube
