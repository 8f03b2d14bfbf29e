// The pool with real processes: every invocation gets its answer or a clean failure, whatever the module does.
#include "runtime/pool/worker_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "runtime/pool/pool_testing.h"
#include "runtime/pool/worker_pool_testing.h"

namespace mayfly::runtime {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;

TEST_F(WorkerPoolTest, AnswersWithWhatTheHandlerReplied) {
  Open("echo_plain");
  auto sink = Run("", "hello");
  EXPECT_EQ(sink->result().outcome(), v1::OUTCOME_OK) << sink->result().ShortDebugString();
  EXPECT_EQ(sink->head().status(), 200u);
  EXPECT_EQ(sink->body(), "hello");
  EXPECT_EQ(sink->parts(), 1) << "a small answer is one part";
  EXPECT_TRUE(sink->result().metering().cold());
  EXPECT_FALSE(Run("", "again")->result().metering().cold());
}

TEST_F(WorkerPoolTest, TheFirstInvocationIsNotChargedForTheStartOfItsWorker) {
  Open("echo_plain");
  ASSERT_TRUE(Eventually([this] {
    const PoolState state = pool_->State();
    return !state.workers.empty() && state.workers.front().pid() > 0;
  }));
  const v1::Metering metering = Run()->result().metering();
  EXPECT_TRUE(metering.cold());
  constexpr std::uint64_t kBetweenTwoClocks = 300;
  EXPECT_LE(metering.cpu_us(), metering.wall_us() + kBetweenTwoClocks);
}

TEST_F(WorkerPoolTest, ServesManyInvocationsOneAfterTheOther) {
  Open("echo_plain");
  for (int i = 0; i < 1000; ++i) {
    const std::string body = "body " + std::to_string(i);
    ASSERT_EQ(Run("", body)->body(), body);
  }
}

TEST_F(WorkerPoolTest, HandsOverEverythingThatTheEventHolds) {
  Open("describes_event");
  v1::Start start = TestStart("a=1");
  start.set_attempt(3);
  v1::Event& event = *start.mutable_event();
  event.set_subject("cat.jpg");
  event.set_data_content_type("text/plain");
  v1::Pair& attribute = *event.add_attributes();
  attribute.set_name("tenant");
  attribute.set_value("blue");
  v1::Pair& header = *event.mutable_http()->add_headers();
  header.set_name("x-one");
  header.set_value("1");
  v1::Pair& parameter = *event.mutable_http()->add_path_parameters();
  parameter.set_name("id");
  parameter.set_value("42");
  auto sink = std::make_shared<TestSink>();
  pool_->Start(start, "the body", true, sink);
  ASSERT_TRUE(sink->Wait());
  const std::string body = sink->body();
  for (const char* line : {"inv-1", "attempt=3", "cat.jpg", "headers.x-one=1", "attributes.tenant=blue",
                           "parameters.id=42", "a=1", "body_size=8"}) {
    EXPECT_THAT(body, HasSubstr(line));
  }
}

TEST_F(WorkerPoolTest, TakesABodyInPieces) {
  Open("echo_plain");
  auto sink = std::make_shared<TestSink>();
  auto call = pool_->Start(TestStart(), "one ", false, sink);
  call->Write("two ", false);
  call->Write("three", true);
  ASSERT_TRUE(sink->Wait());
  EXPECT_EQ(sink->body(), "one two three");
}

TEST_F(WorkerPoolTest, CarriesLargeBodiesBothWays) {
  PoolOptions options = TestOptions("echo_plain");
  options.max_request_bytes = 20u << 20;
  Open(options);
  std::string body(20u << 20, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 31 >> 7);
  for (int round = 0; round < 3; ++round) {
    auto sink = std::make_shared<TestSink>();
    auto call = pool_->Start(TestStart(), std::string_view(body).substr(0, 1000), false, sink);
    for (std::size_t at = 1000; at < body.size(); at += 100'000) {
      call->Write(std::string_view(body).substr(at, 100'000), false);
    }
    call->Write("", true);
    ASSERT_TRUE(sink->Wait());
    ASSERT_EQ(sink->result().outcome(), v1::OUTCOME_OK) << sink->result().ShortDebugString();
    ASSERT_TRUE(sink->body() == body);
  }
}

TEST_F(WorkerPoolTest, SendsNoMoreThanTheWindowAllows) {
  Open("big_reply");
  v1::Start start = TestStart("size=1000000");
  start.set_window(1000);
  auto sink = std::make_shared<TestSink>();
  auto call = pool_->Start(start, "", true, sink);
  ASSERT_TRUE(sink->WaitForBody(1000));
  EXPECT_EQ(sink->body().size(), 1000u);
  EXPECT_EQ(sink->results(), 0);
  std::size_t granted = 1000;
  while (granted < 1'000'000) {
    call->Grant(111'000);
    granted += 111'000;
    ASSERT_TRUE(sink->WaitForBody(std::min<std::size_t>(granted, 1'000'000)));
    ASSERT_LE(sink->body().size(), granted);
  }
  ASSERT_TRUE(sink->Wait());
  EXPECT_EQ(sink->result().outcome(), v1::OUTCOME_OK);
  EXPECT_EQ(sink->body().size(), 1'000'000u);
}

TEST_F(WorkerPoolTest, DeliversAStreamAsItComes) {
  Open("streams");
  auto sink = Begin("chunks=3&size=10&ms=100");
  ASSERT_TRUE(sink->WaitForBody(10));
  EXPECT_EQ(sink->results(), 0) << "the first chunk came before the handler returned";
  ASSERT_TRUE(sink->Wait());
  EXPECT_EQ(sink->body(), "abcdefghijklmnopqrstuvwxyzabcd");
  EXPECT_EQ(sink->head().headers_size(), 2);
}

TEST_F(WorkerPoolTest, RefusesABodyThatIsTooLarge) {
  PoolOptions options = TestOptions("echo_plain");
  options.max_request_bytes = 1000;
  Open(options);
  auto whole = Run("", std::string(1001, 'x'));
  EXPECT_EQ(whole->result().outcome(), v1::OUTCOME_FAILED);
  EXPECT_EQ(whole->result().problem().reason(), "RequestTooLarge");
  auto sink = std::make_shared<TestSink>();
  auto call = pool_->Start(TestStart(), std::string(900, 'x'), false, sink);
  call->Write(std::string(101, 'x'), true);
  ASSERT_TRUE(sink->Wait());
  EXPECT_EQ(sink->result().problem().reason(), "RequestTooLarge");
  v1::Start headers = TestStart();
  headers.mutable_event()->mutable_http()->add_headers()->set_value(std::string(2u << 20, 'h'));
  auto large_head = std::make_shared<TestSink>();
  pool_->Start(headers, "", true, large_head);
  ASSERT_TRUE(large_head->Wait());
  EXPECT_EQ(large_head->result().problem().reason(), "RequestTooLarge");
  EXPECT_EQ(Run("", "small")->body(), "small");
}

TEST_F(WorkerPoolTest, RefusesAnAnswerThatIsTooLarge) {
  PoolOptions options = TestOptions("big_reply");
  options.max_response_bytes = 1000;
  Open(options);
  auto sink = Run("size=1001");
  EXPECT_EQ(sink->result().outcome(), v1::OUTCOME_BAD_ANSWER);
  EXPECT_EQ(sink->result().problem().reason(), "ResponseTooLarge");
  EXPECT_EQ(Run("size=1000")->body().size(), 1000u);
}

TEST_F(WorkerPoolTest, SaysAtOnceThatNoSlotIsFree) {
  Open("sleeps");
  auto first = Begin("ms=300");
  auto second = Run("ms=0");
  EXPECT_EQ(second->result().outcome(), v1::OUTCOME_NOT_STARTED);
  EXPECT_EQ(second->result().problem().reason(), "NoFreeSlot");
  EXPECT_EQ(first->results(), 0);
  ASSERT_TRUE(first->Wait());
  EXPECT_EQ(first->result().outcome(), v1::OUTCOME_OK);
}

TEST_F(WorkerPoolTest, RunsAsManyAtOnceAsItHasSlots) {
  PoolOptions options = TestOptions("sleeps");
  options.slots = 8;
  Open(options);
  std::vector<std::shared_ptr<TestSink>> sinks;
  for (int i = 0; i < 8; ++i) sinks.push_back(Begin("ms=300"));
  std::set<std::string> pids;
  for (const auto& sink : sinks) {
    ASSERT_TRUE(sink->Wait());
    EXPECT_EQ(sink->result().outcome(), v1::OUTCOME_OK) << sink->result().ShortDebugString();
    pids.insert(sink->body());
  }
  EXPECT_EQ(pids.size(), 8u);
}

TEST_F(WorkerPoolTest, CancelStopsTheHandler) {
  Open("endless_loop");
  auto sink = Begin();
  WaitUntilBusy();
  last_call_->Cancel();
  ASSERT_TRUE(sink->Wait());
  EXPECT_EQ(sink->result().outcome(), v1::OUTCOME_CANCELLED);
  EXPECT_EQ(Run("ok")->body(), "ok");
}

TEST_F(WorkerPoolTest, DrainWaitsForWhatRunsAndTakesNothingNew) {
  PoolOptions options = TestOptions("sleeps");
  options.slots = 2;
  Open(options);
  auto sink = Begin("ms=300");
  EXPECT_EQ(pool_->Drain(std::chrono::steady_clock::now() + milliseconds(1)), 1u);
  EXPECT_EQ(Run("ms=0")->result().outcome(), v1::OUTCOME_NOT_STARTED);
  EXPECT_EQ(pool_->Drain(std::chrono::steady_clock::now() + std::chrono::seconds(10)), 0u);
  EXPECT_EQ(sink->results(), 1);
}

TEST_F(WorkerPoolTest, MetersWhatTheHandlerUsed) {
  Open("spins");
  Run("ms=1");
  const v1::Metering metering = Run("ms=100")->result().metering();
  EXPECT_GE(metering.cpu_us(), 95'000u);
  EXPECT_LE(metering.cpu_us(), 150'000u);
  EXPECT_GE(metering.wall_us(), 100'000u);
  EXPECT_GT(metering.peak_rss_bytes(), 500'000u);
}

TEST_F(WorkerPoolTest, MetersAnInvocationThatIsKilled) {
  Open("endless_loop");
  const v1::Metering metering = Run("", "", 300)->result().metering();
  EXPECT_GE(metering.wall_us(), 299'000u);
  EXPECT_LE(metering.wall_us(), 350'000u);
  // How much of it a loop gets on a busy machine, nobody knows.
  EXPECT_GT(metering.cpu_us(), 1'000u);
}

TEST_F(WorkerPoolTest, CountsItsInvocations) {
  Open("echo_plain");
  Run();
  EXPECT_THAT(
      metrics_.Text(),
      AllOf(HasSubstr("mayfly_invocations_total{function=\"test/echo_plain\",outcome=\"ok\"} 1"),
            HasSubstr("mayfly_invocation_peak_memory_bytes_count{function=\"test/echo_plain\"} 1"),
            HasSubstr(
                "mayfly_invocation_peak_memory_bytes_bucket{function=\"test/echo_plain\",le=\"+Inf\"} 1")));
}

// --- What create() may do wrong. ---

struct CreateCase {
  const char* module;
  const char* reason;
  const char* sentence;
};

class RefusedModuleTest : public testing::TestWithParam<CreateCase> {};

TEST_P(RefusedModuleTest, IsRefusedWithASentence) {
  PoolOptions options = TestOptions(GetParam().module);
  options.create_timeout = milliseconds(500);
  base::Metrics metrics;
  v1::Problem problem;
  auto pool = WorkerPool::Create(std::move(options), metrics, problem);
  EXPECT_EQ(pool, nullptr);
  EXPECT_EQ(problem.reason(), GetParam().reason) << problem.ShortDebugString();
  EXPECT_THAT(problem.message(), HasSubstr(GetParam().sentence));
}

INSTANTIATE_TEST_SUITE_P(
    All, RefusedModuleTest,
    testing::Values(CreateCase{"create_fails", "CreateFailed", "create() failed: no licence"},
                    CreateCase{"create_crashes", "CreateCrashed",
                               "in create(): it touched memory that is not its own, at address 0x10"},
                    CreateCase{"create_hangs", "CreateTimedOut", "500 ms"},
                    CreateCase{"create_killed", "CreateKilled", "from outside"},
                    CreateCase{"create_throws", "CreateCrashed", "thrown by a static constructor"},
                    CreateCase{"no_handlers", "AbiMismatch", "no handler"},
                    CreateCase{"many_handlers", "HandlerNotFound", "first, second"},
                    CreateCase{"not_a_module", "LoadFailed", "mayfly_module_v1"},
                    CreateCase{"null_module", "AbiMismatch", "no description"},
                    CreateCase{"missing_symbol", "LoadFailed", "mayfly_test"},
                    CreateCase{"missing_library", "LoadFailed", "libmayfly-absent.so.1"},
                    CreateCase{"wrong_abi_field", "AbiMismatch", "99"},
                    CreateCase{"absent", "LoadFailed", "absent.so"}),
    [](const testing::TestParamInfo<CreateCase>& test_case) { return std::string(test_case.param.module); });

TEST_F(WorkerPoolTest, ServesTheHandlerThatIsNamed) {
  PoolOptions options = TestOptions("many_handlers");
  options.handler = "second";
  Open(options);
  EXPECT_EQ(pool_->handler(), "second");
  EXPECT_EQ(Run()->body(), "second");
}

TEST_F(WorkerPoolTest, GivesConfigurationAndEnvironmentToTheModule) {
  PoolOptions options = TestOptions("shows_config");
  options.config_json = R"({"width":256})";
  options.environment["COLOUR"] = "blue";
  Open(options);
  EXPECT_EQ(Run()->body(), R"({"width":256})");
  EXPECT_EQ(Run("env=COLOUR")->body(), "blue");
  EXPECT_EQ(Run("env=MAYFLY_BIN_DIR")->body(), "(unset)");
}

TEST_F(WorkerPoolTest, ModuleThatMustNotBeForkedRunsCreateInEachWorker) {
  PoolOptions options = TestOptions("no_fork");
  options.slots = 2;
  Open(options);
  EXPECT_FALSE(pool_->State().forks);
  for (int i = 0; i < 3; ++i) {
    auto sink = Run();
    int created = 0;
    int served = 0;
    ASSERT_EQ(sscanf(sink->body().c_str(), "create_pid=%d pid=%d", &created, &served), 2) << sink->body();
    EXPECT_EQ(created, served);
  }
}

TEST_F(WorkerPoolTest, ThreadsOfCreateLiveInTheProcessThatServes) {
  Open("create_starts_thread");
  EXPECT_FALSE(pool_->State().forks);
  EXPECT_EQ(Run()->body(), "alive");
}

}  // namespace
}  // namespace mayfly::runtime
