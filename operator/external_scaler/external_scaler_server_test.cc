#include "operator/external_scaler/external_scaler_server.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "externalscaler/externalscaler.grpc.pb.h"

namespace mayfly::op {
namespace {

namespace pb = externalscaler;
using namespace std::chrono_literals;
using testing::HasSubstr;

class ExternalScalerServerTest : public testing::Test {
 protected:
  ExternalScalerServerTest() {
    scaler_.Configure("default/hello", {.max_replicas = 10, .target_utilization = 70, .slots = 1});
    Report("default/hello", 0);
    auto server = ExternalScalerServer::Start(
        {.address = "127.0.0.1:0", .credentials = nullptr, .most_streams = 2, .look = 20ms}, external_,
        clock_, metrics_);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = pb::ExternalScaler::NewStub(
        grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  }

  void Report(const std::string& function, std::uint32_t held) {
    v1::GatewayReport report;
    report.set_gateway("gw");
    v1::Demand& demand = *report.add_demand();
    demand.set_function(function);
    demand.set_held(held);
    scaler_.Observe(report);
  }
  static pb::ScaledObjectRef Ref(const std::string& space = "default",
                                 const std::string& function = "hello") {
    pb::ScaledObjectRef ref;
    ref.set_name("scaled");
    ref.set_namespace_(space);
    (*ref.mutable_scalermetadata())["function"] = function;
    (*ref.mutable_scalermetadata())["scalerAddress"] = "somewhere:9444";
    return ref;
  }
  static std::unique_ptr<grpc::ClientContext> Context() {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() + 10s);
    return context;
  }
  grpc::Status IsActive(const pb::ScaledObjectRef& ref, bool* active = nullptr) {
    pb::IsActiveResponse response;
    const auto context = Context();
    const grpc::Status status = stub_->IsActive(context.get(), ref, &response);
    if (active != nullptr) *active = response.result();
    return status;
  }

  base::RealClock clock_;
  base::Metrics metrics_;
  Scaler scaler_{clock_, metrics_, ScalingRules()};
  ExternalScaler external_{scaler_, clock_};
  std::unique_ptr<ExternalScalerServer> server_;
  std::unique_ptr<pb::ExternalScaler::Stub> stub_;
};

TEST_F(ExternalScalerServerTest, AnswersKedasQuestions) {
  bool active = true;
  ASSERT_TRUE(IsActive(Ref(), &active).ok());
  EXPECT_FALSE(active);
  Report("default/hello", 5);
  ASSERT_TRUE(IsActive(Ref(), &active).ok());
  EXPECT_TRUE(active);

  pb::GetMetricSpecResponse specs;
  const auto context = Context();
  ASSERT_TRUE(stub_->GetMetricSpec(context.get(), Ref(), &specs).ok());
  ASSERT_EQ(specs.metricspecs_size(), 1);
  EXPECT_EQ(specs.metricspecs(0).metricname(), "concurrency");
  EXPECT_DOUBLE_EQ(specs.metricspecs(0).targetsizefloat(), 0.7);
  EXPECT_EQ(specs.metricspecs(0).targetsize(), 1);

  pb::GetMetricsRequest request;
  *request.mutable_scaledobjectref() = Ref();
  request.set_metricname("concurrency");
  pb::GetMetricsResponse values;
  const auto second = Context();
  ASSERT_TRUE(stub_->GetMetrics(second.get(), request, &values).ok());
  ASSERT_EQ(values.metricvalues_size(), 1);
  EXPECT_EQ(values.metricvalues(0).metricname(), "concurrency");
  EXPECT_DOUBLE_EQ(values.metricvalues(0).metricvaluefloat(), 5);
  EXPECT_EQ(values.metricvalues(0).metricvalue(), 5);
}

TEST_F(ExternalScalerServerTest, TakesTheScaledObjectsNameForTheFunctionsIfNoneIsNamed) {
  pb::ScaledObjectRef ref = Ref();
  ref.clear_scalermetadata();
  ref.set_name("hello");
  EXPECT_TRUE(IsActive(ref).ok());
}

TEST_F(ExternalScalerServerTest, RefusesFunctionsOfOtherNamespacesAndWhatIsNone) {
  scaler_.Configure("other/hello", {});
  EXPECT_EQ(IsActive(Ref("default", "other/hello")).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(IsActive(Ref("", "hello")).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  const grpc::Status missing = IsActive(Ref("default", "none"));
  EXPECT_EQ(missing.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(missing.error_message(), HasSubstr("there is no Function default/none"));
}

TEST_F(ExternalScalerServerTest, TellsStreamsAtOnceThatDemandHasCome) {
  const auto context = Context();
  const pb::ScaledObjectRef ref = Ref();
  const auto stream = stub_->StreamIsActive(context.get(), ref);
  pb::IsActiveResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_FALSE(response.result());
  Report("default/hello", 1);
  server_->Notice("default/hello");
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_TRUE(response.result());
  // The end of activity nobody reports: it is looked for.
  scaler_.Configure("default/hello", {.scale_to_zero_after = std::chrono::nanoseconds(1)});
  Report("default/hello", 0);
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_FALSE(response.result());
  // A function that is gone has no more to say.
  scaler_.Forget("default/hello");
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ExternalScalerServerTest, BoundsItsStreamsAndEndsThemWithItself) {
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<pb::IsActiveResponse>>> streams;
  const pb::ScaledObjectRef ref = Ref();
  pb::IsActiveResponse response;
  // Each over a connection of its own, as of many KEDAs.
  std::vector<std::unique_ptr<pb::ExternalScaler::Stub>> stubs;
  for (int i = 0; i < 3; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt("test.number", i);
    stubs.push_back(pb::ExternalScaler::NewStub(
        grpc::CreateCustomChannel(server_->address(), grpc::InsecureChannelCredentials(), arguments)));
    contexts.push_back(Context());
    streams.push_back(stubs.back()->StreamIsActive(contexts.back().get(), ref));
    EXPECT_EQ(streams.back()->Read(&response), i < 2) << i;
  }
  EXPECT_EQ(streams[2]->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  server_.reset();
  EXPECT_FALSE(streams[0]->Read(&response));
  EXPECT_FALSE(streams[1]->Read(&response));
  EXPECT_FALSE(streams[0]->Finish().ok());
  EXPECT_FALSE(streams[1]->Finish().ok());
}

}  // namespace
}  // namespace mayfly::op
