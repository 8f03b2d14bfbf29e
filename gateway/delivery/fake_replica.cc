#include "gateway/delivery/fake_replica.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <list>
#include <mutex>
#include <set>
#include <utility>

#include "mayfly/v1/runtime.grpc.pb.h"

namespace mayfly::gateway {

using Stream = grpc::ServerReaderWriter<v1::ServeReply, v1::ServeRequest>;

struct FakeReplica::Impl final : v1::Runtime::Service {
  struct Call {
    std::uint64_t id = 0;
    Stream* stream = nullptr;
    std::string invocation;
    std::string body;
    bool ended = false;
    bool waits = false;
  };

  explicit Impl(std::uint32_t s) : slots(s) {}

  grpc::Status Serve(grpc::ServerContext*, Stream* stream) override {
    {
      const std::lock_guard lock(mutex);
      streams.insert(stream);
      ++books.streams;
      ++books.open_streams;
      changed.notify_all();
      SendCapacity(*stream);
    }
    v1::ServeRequest request;
    bool in_order = false;
    while (!in_order && stream->Read(&request)) {
      const std::lock_guard lock(mutex);
      in_order = ending.erase(stream) != 0;
      if (in_order) break;
      for (v1::RequestPart& part : *request.mutable_parts()) Take(*stream, part);
      changed.notify_all();
    }
    const std::lock_guard lock(mutex);
    streams.erase(stream);
    --books.open_streams;
    std::erase_if(calls, [&](const Call& call) {
      if (call.stream != stream) return false;
      --books.running;
      return true;
    });
    changed.notify_all();
    return in_order ? grpc::Status::OK : grpc::Status(grpc::StatusCode::UNAVAILABLE, "killed");
  }

  void Take(Stream& stream, v1::RequestPart& part) {
    books.window += part.window();
    if (part.has_start()) {
      books.window += part.start().window();
      if (behaviour == Behaviour::kRefuse) {
        v1::ResponsePart refusal;
        refusal.set_call(part.call());
        refusal.mutable_result()->set_outcome(v1::OUTCOME_NOT_STARTED);
        refusal.mutable_result()->mutable_problem()->set_message("the fake refuses");
        Reply(stream, std::move(refusal));
        return;
      }
      calls.push_back({part.call(), &stream, part.start().invocation_id(), {}, false, false});
      books.started.push_back(part.start().invocation_id());
      books.most_running = std::max(books.most_running, ++books.running);
    }
    const auto call = std::find_if(calls.begin(), calls.end(), [&](const Call& each) {
      return each.id == part.call() && each.stream == &stream;
    });
    if (call == calls.end()) return;
    books.body += part.data();
    call->body += part.data();
    if (part.cancel()) {
      ++books.cancels;
      if (behaviour != Behaviour::kSilence) End(call, v1::OUTCOME_CANCELLED);
      return;
    }
    if (!part.end()) return;
    ++books.ends;
    call->ended = true;
    if (behaviour == Behaviour::kAnswer) {
      Answer(call);
    } else if (behaviour == Behaviour::kGarble) {
      v1::ResponsePart answer;
      answer.set_call(call->id);
      answer.mutable_result()->mutable_problem()->set_message("\xff, which no text begins with");
      Reply(stream, std::move(answer));
    } else {
      call->waits = true;
    }
  }

  void Answer(std::list<Call>::iterator call) {
    v1::ResponsePart answer;
    answer.set_call(call->id);
    answer.mutable_head()->set_status(200);
    answer.set_data(call->body);
    answer.mutable_result()->set_outcome(v1::OUTCOME_OK);
    answer.mutable_result()->mutable_metering()->set_wall_us(FakeReplica::kWallUs);
    answer.mutable_result()->mutable_metering()->set_cpu_us(FakeReplica::kCpuUs);
    Reply(*call->stream, std::move(answer));
    --books.running;
    calls.erase(call);
  }

  void End(std::list<Call>::iterator call, v1::Outcome outcome) {
    v1::ResponsePart end;
    end.set_call(call->id);
    end.mutable_result()->set_outcome(outcome);
    Reply(*call->stream, std::move(end));
    --books.running;
    calls.erase(call);
  }

  void Reply(Stream& stream, v1::ResponsePart part) {
    v1::ServeReply reply;
    *reply.add_parts() = std::move(part);
    stream.Write(reply);
  }

  void SendCapacity(Stream& stream) {
    v1::ServeReply reply;
    reply.mutable_capacity()->set_slots(slots);
    reply.mutable_capacity()->set_draining(draining);
    reply.mutable_capacity()->set_revision(revision);
    stream.Write(reply);
  }

  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  Behaviour behaviour = Behaviour::kAnswer;
  std::string revision;
  std::uint32_t slots;
  bool draining = false;
  std::set<Stream*> ending;
  std::set<Stream*> streams;
  std::list<Call> calls;
  Seen books;
  std::unique_ptr<grpc::Server> server;
};

FakeReplica::FakeReplica(std::string socket_path, std::uint32_t slots)
    : path_(std::move(socket_path)), impl_(std::make_unique<Impl>(slots)) {
  Start();
}

FakeReplica::~FakeReplica() { Kill(); }

void FakeReplica::Start() {
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address(), grpc::InsecureServerCredentials());
  builder.RegisterService(impl_.get());
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1000);
  impl_->server = builder.BuildAndStart();
}

void FakeReplica::Kill() {
  if (!impl_->server) return;
  impl_->server->Shutdown(std::chrono::system_clock::now());
  impl_->server->Wait();
  impl_->server.reset();
  std::remove(path_.c_str());
}

void FakeReplica::EndAtNextMessage() {
  const std::lock_guard lock(impl_->mutex);
  impl_->ending = impl_->streams;
}

void FakeReplica::Behave(Behaviour behaviour) {
  const std::lock_guard lock(impl_->mutex);
  impl_->behaviour = behaviour;
}

void FakeReplica::SetRevision(const std::string& revision) {
  const std::lock_guard lock(impl_->mutex);
  impl_->revision = revision;
}

void FakeReplica::SetSlots(std::uint32_t slots, bool draining) {
  const std::lock_guard lock(impl_->mutex);
  impl_->slots = slots;
  impl_->draining = draining;
  for (Stream* stream : impl_->streams) impl_->SendCapacity(*stream);
}

void FakeReplica::Release(std::size_t count) {
  const std::lock_guard lock(impl_->mutex);
  for (; count > 0; --count) {
    const auto call =
        std::find_if(impl_->calls.begin(), impl_->calls.end(), [](const auto& each) { return each.waits; });
    if (call == impl_->calls.end()) return;
    impl_->Answer(call);
  }
}

void FakeReplica::Send(const std::string& invocation_id, v1::ResponsePart part) {
  const std::lock_guard lock(impl_->mutex);
  for (auto call = impl_->calls.begin(); call != impl_->calls.end(); ++call) {
    if (call->invocation != invocation_id) continue;
    const bool last = part.has_result();
    part.set_call(call->id);
    impl_->Reply(*call->stream, std::move(part));
    if (last) {
      --impl_->books.running;
      impl_->calls.erase(call);
    }
    return;
  }
}

FakeReplica::Seen FakeReplica::seen() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->books;
}

bool FakeReplica::WaitFor(const std::function<bool(const Seen&)>& condition) const {
  std::unique_lock lock(impl_->mutex);
  return impl_->changed.wait_for(lock, std::chrono::seconds(10), [&] { return condition(impl_->books); });
}

}  // namespace mayfly::gateway
