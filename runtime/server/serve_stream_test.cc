#include "runtime/server/serve_stream.h"

#include <gmock/gmock.h>
#include <grpcpp/client_context.h>

#include <deque>
#include <map>
#include <thread>

#include "runtime/server/testing.h"

namespace mayfly::runtime {
namespace {

v1::RequestPart StartPart(std::uint64_t call, const std::string& id, const std::string& data,
                          bool end = true) {
  v1::RequestPart part;
  part.set_call(call);
  part.mutable_start()->set_invocation_id(id);
  part.mutable_start()->set_window(1 << 20);
  part.set_data(data);
  part.set_end(end);
  return part;
}

class ServeStreamTest : public ServerTest {
 protected:
  void Open() {
    context_ = std::make_unique<grpc::ClientContext>();
    context_->set_deadline(Soon());
    stream_ = stub_->Serve(context_.get());
  }
  void Send(std::initializer_list<v1::RequestPart> parts) {
    v1::ServeRequest request;
    for (const v1::RequestPart& part : parts) *request.add_parts() = part;
    ASSERT_TRUE(stream_->Write(request));
  }
  // The next part, whatever message it comes in; empty at the stream's end.
  std::optional<v1::ResponsePart> Next() {
    while (parts_.empty()) {
      v1::ServeReply reply;
      if (!stream_->Read(&reply)) return std::nullopt;
      ++messages_;
      if (reply.has_capacity()) capacity_ = reply.capacity();
      for (const v1::ResponsePart& part : reply.parts()) parts_.push_back(part);
    }
    v1::ResponsePart part = parts_.front();
    parts_.pop_front();
    return part;
  }

  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::ServeRequest, v1::ServeReply>> stream_;
  std::deque<v1::ResponsePart> parts_;
  std::optional<v1::Capacity> capacity_;
  int messages_ = 0;
};

TEST_F(ServeStreamTest, SaysItsCapacityFirstAndWheneverItChanges) {
  Open();
  v1::ServeReply reply;
  ASSERT_TRUE(stream_->Read(&reply));
  EXPECT_EQ(reply.capacity().slots(), 0u);
  ASSERT_TRUE(Load(LoadOf("r1", 7)).ok());
  ASSERT_TRUE(stream_->Read(&reply));
  EXPECT_EQ(reply.capacity().slots(), 7u);
  EXPECT_EQ(reply.capacity().revision(), "r1");
  replica_->Drain(std::chrono::steady_clock::now());
  ASSERT_TRUE(stream_->Read(&reply));
  EXPECT_EQ(reply.capacity().slots(), 0u);
  EXPECT_TRUE(reply.capacity().draining());
}

TEST_F(ServeStreamTest, AnswersEachCallUnderItsNumber) {
  world_.echo = true;
  ASSERT_TRUE(Load(LoadOf("r1")).ok());
  Open();
  Send({StartPart(5, "a", "first"), StartPart(9, "b", "second")});
  std::map<std::uint64_t, std::string> answers;
  for (int i = 0; i < 2; ++i) {
    const auto part = Next();
    ASSERT_TRUE(part);
    EXPECT_EQ(part->result().outcome(), v1::OUTCOME_OK);
    answers[part->call()] = part->data();
  }
  EXPECT_EQ(answers, (std::map<std::uint64_t, std::string>{{5, "first"}, {9, "second"}}));
  ASSERT_TRUE(stream_->WritesDone());
  EXPECT_FALSE(Next());
  EXPECT_TRUE(stream_->Finish().ok());
}

TEST_F(ServeStreamTest, CarriesManyAnswersInOneMessage) {
  ASSERT_TRUE(Load(LoadOf("r1", 100)).ok());
  Open();
  v1::ServeRequest request;
  for (std::uint64_t i = 1; i <= 100; ++i) *request.add_parts() = StartPart(i, std::to_string(i), "");
  ASSERT_TRUE(stream_->Write(request));
  ASSERT_TRUE(world_.Await("100"));
  std::vector<FakeWorld::Handle> invocations;
  for (int i = 1; i <= 100; ++i) invocations.push_back(world_.Await(std::to_string(i)));
  world_.AnswerOkTogether(invocations, "x");
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(Next());
  // As a rule it is one; a write that ends meanwhile takes what is there by then.
  EXPECT_LT(messages_, 100);
}

TEST_F(ServeStreamTest, PassesBodiesWindowsAndPartsOnAsTheyCome) {
  ASSERT_TRUE(Load(LoadOf("r1")).ok());
  Open();
  Send({StartPart(1, "a", "one ", false)});
  const auto invocation = world_.Await("a");
  ASSERT_TRUE(invocation);
  EXPECT_EQ(invocation->start.attempt(), 1u);
  EXPECT_EQ(invocation->start.timeout_ms(), 60'000u) << "the function's timeout, if the caller names none";
  v1::RequestPart more;
  more.set_call(1);
  more.set_data("two");
  more.set_end(true);
  more.set_window(100);
  Send({more});
  EXPECT_TRUE(world_.AwaitThat([&] { return invocation->window == (1u << 20) + 100; }));
  EXPECT_TRUE(invocation->body_complete);
  EXPECT_EQ(invocation->body, "one two");

  v1::ResponsePart head;
  head.mutable_head()->set_status(201);
  world_.Answer(*invocation, head);
  EXPECT_EQ(Next()->head().status(), 201u);
  world_.AnswerOk(*invocation, "rest");
  EXPECT_EQ(Next()->data(), "rest");
}

TEST_F(ServeStreamTest, CutsLargeDataIntoPartsAndMessages) {
  ASSERT_TRUE(Load(LoadOf("r1")).ok());
  Open();
  Send({StartPart(1, "a", "")});
  std::string data(3'000'000, '\0');
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 7919 >> 8);
  world_.AnswerOk(*world_.Await("a"), data);
  std::string received;
  while (true) {
    const auto part = Next();
    ASSERT_TRUE(part);
    EXPECT_LE(part->data().size(), 256u << 10);
    EXPECT_EQ(part->has_head(), received.empty());
    received += part->data();
    if (part->has_result()) break;
  }
  EXPECT_TRUE(received == data);
}

TEST_F(ServeStreamTest, RefusesWhatFindsNoSlotAsNotStarted) {
  ASSERT_TRUE(Load(LoadOf("r1", 1)).ok());
  Open();
  Send({StartPart(1, "a", ""), StartPart(2, "b", "")});
  const auto part = Next();
  ASSERT_TRUE(part);
  EXPECT_EQ(part->call(), 2u);
  EXPECT_EQ(part->result().outcome(), v1::OUTCOME_NOT_STARTED);
  world_.AnswerOk(*world_.Await("a"), "");
  EXPECT_EQ(Next()->call(), 1u);
}

TEST_F(ServeStreamTest, RefusesAsNotStartedWithoutAModuleAndWhileDraining) {
  Open();
  Send({StartPart(1, "a", "")});
  EXPECT_EQ(Next()->result().problem().reason(), "NoModule");
  ASSERT_TRUE(Load(LoadOf("r1")).ok());
  replica_->Drain(std::chrono::steady_clock::now());
  Send({StartPart(2, "b", "")});
  EXPECT_EQ(Next()->result().problem().reason(), "Draining");
}

TEST_F(ServeStreamTest, CancelReachesTheInvocation) {
  ASSERT_TRUE(Load(LoadOf("r1")).ok());
  Open();
  Send({StartPart(1, "a", "")});
  const auto invocation = world_.Await("a");
  v1::RequestPart cancel;
  cancel.set_call(1);
  cancel.set_cancel(true);
  Send({cancel});
  EXPECT_EQ(Next()->result().outcome(), v1::OUTCOME_CANCELLED);
  EXPECT_TRUE(invocation->cancelled);
}

TEST_F(ServeStreamTest, TheEndOfTheStreamCancelsItsInvocations) {
  ASSERT_TRUE(Load(LoadOf("r1")).ok());
  Open();
  Send({StartPart(1, "a", ""), StartPart(2, "b", "", false)});
  const auto first = world_.Await("a");
  const auto second = world_.Await("b");
  context_->TryCancel();
  EXPECT_TRUE(world_.AwaitThat([&] { return first->cancelled && second->cancelled; }));
  EXPECT_EQ(stream_->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(ServeStreamTest, HalfCloseLetsCompleteCallsFinishAndCancelsTheRest) {
  ASSERT_TRUE(Load(LoadOf("r1")).ok());
  Open();
  Send({StartPart(1, "complete", ""), StartPart(2, "incomplete", "", false)});
  const auto complete = world_.Await("complete");
  const auto incomplete = world_.Await("incomplete");
  ASSERT_TRUE(stream_->WritesDone());
  EXPECT_EQ(Next()->call(), 2u);
  EXPECT_TRUE(incomplete->cancelled);
  world_.AnswerOk(*complete, "done");
  EXPECT_EQ(Next()->data(), "done");
  EXPECT_FALSE(Next());
  EXPECT_TRUE(stream_->Finish().ok());
}

TEST_F(ServeStreamTest, ShutdownLetsTheLastAnswerOutAndEndsTheStream) {
  ASSERT_TRUE(Load(LoadOf("r1")).ok());
  Open();
  Send({StartPart(1, "a", "")});
  const auto invocation = world_.Await("a");
  std::jthread ending([this] { server_->Shutdown(Soon()); });
  world_.AnswerOk(*invocation, "last");
  EXPECT_EQ(Next()->data(), "last");
  EXPECT_FALSE(Next());
  EXPECT_TRUE(stream_->Finish().ok());
}

TEST_F(ServeStreamTest, ACallThatIsBegunTwiceEndsTheStreamAndCancelsItsCalls) {
  ASSERT_TRUE(Load(LoadOf("r1")).ok());
  Open();
  Send({StartPart(1, "a", "")});
  const auto invocation = world_.Await("a");
  Send({StartPart(1, "b", "")});
  EXPECT_FALSE(Next());
  const grpc::Status status = stream_->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(world_.AwaitThat([&] { return invocation->cancelled; }));
}

TEST_F(ServeStreamTest, DataAfterTheEndEndsTheStream) {
  ASSERT_TRUE(Load(LoadOf("r1")).ok());
  Open();
  Send({StartPart(1, "a", "all")});
  v1::RequestPart more;
  more.set_call(1);
  more.set_data("more");
  Send({more});
  EXPECT_FALSE(Next());
  EXPECT_EQ(stream_->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ServeStreamTest, IgnoresPartsThatCrossedTheResult) {
  world_.echo = true;
  ASSERT_TRUE(Load(LoadOf("r1")).ok());
  Open();
  Send({StartPart(1, "a", "x")});
  ASSERT_TRUE(Next());
  v1::RequestPart late;
  late.set_call(1);
  late.set_window(5);
  late.set_cancel(true);
  late.set_data("late");
  Send({late, StartPart(2, "b", "y")});
  EXPECT_EQ(Next()->data(), "y");
}

TEST_F(ServeStreamTest, StopsReadingFromAPeerThatDoesNotTakeItsRefusals) {
  context_ = std::make_unique<grpc::ClientContext>();
  context_->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(2));
  stream_ = stub_->Serve(context_.get());
  // No module: every call is refused. A peer that only sends must be held up before it fills the memory.
  v1::ServeRequest request;
  for (std::uint64_t i = 0; i < 1'000; ++i) *request.add_parts() = StartPart(i, "x", "");
  int sent = 0;
  while (sent < 1'000 && stream_->Write(request)) ++sent;
  EXPECT_LT(sent, 1'000);
}

TEST_F(ServeStreamTest, ASwapUnderLoadDropsNothing) {
  world_.echo = true;
  ASSERT_TRUE(Load(LoadOf("r0", 64)).ok());
  Open();
  constexpr std::uint64_t kCalls = 5'000;
  std::jthread sender([&] {
    for (std::uint64_t i = 0; i < kCalls; ++i) {
      v1::ServeRequest request;
      *request.add_parts() = StartPart(i, std::to_string(i), "x");
      if (!stream_->Write(request)) return;
    }
  });
  std::jthread swapper([&] {
    for (int i = 1; i <= 20; ++i) {
      v1::LoadReply reply;
      const absl::Status status = replica_->Load(LoadOf("r" + std::to_string(i), 64), reply);
      EXPECT_TRUE(status.ok() || status.code() == absl::StatusCode::kResourceExhausted) << status;
    }
  });
  std::uint64_t answered = 0;
  while (answered < kCalls) {
    const auto part = Next();
    ASSERT_TRUE(part);
    ASSERT_EQ(part->result().outcome(), v1::OUTCOME_OK) << part->result().problem().message();
    ++answered;
  }
}

}  // namespace
}  // namespace mayfly::runtime
