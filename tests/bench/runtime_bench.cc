// Bare gRPC against this runtime with isolated workers: echo of 1 KB, closed loop, one connection, servers in processes
// of their own.
//
//   runtime_bench [--seconds 2] [--concurrency 32] [--payload 1024] [--only NAME] [--module ECHO.so]
//
// grpc_unary and grpc_stream are a server that echoes and does nothing else, with the same messages and the same API;
// invoke_isolated and serve_isolated are mayfly-runtime, whose workers are processes. For each it prints
//   figure NAME rps rps · NAME_p50 us · NAME_p99 us · NAME_client_cpu cores · NAME_server_cpu cores
#include <grpcpp/create_channel.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_context.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/lock_checks.h"
#include "mayfly/v1/runtime.grpc.pb.h"

namespace {

using namespace mayfly;
using Clock = std::chrono::steady_clock;

struct Options {
  double seconds = 2;
  int concurrency = 32;
  std::size_t payload = 1024;
  std::string only;
  std::string module = MAYFLY_BENCH_MODULE;
};

// ---- The bare server -------------------------------------------------------------------------------------------------

class EchoStream final : public grpc::ServerBidiReactor<v1::ServeRequest, v1::ServeReply> {
 public:
  EchoStream() { StartRead(&request_); }
  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    reply_.Clear();
    for (v1::RequestPart& part : *request_.mutable_parts()) {
      v1::ResponsePart& answer = *reply_.add_parts();
      answer.set_call(part.call());
      answer.mutable_data()->swap(*part.mutable_data());
    }
    StartWrite(&reply_);
  }
  void OnWriteDone(bool) override { StartRead(&request_); }
  void OnDone() override { delete this; }

 private:
  v1::ServeRequest request_;
  v1::ServeReply reply_;
};

class EchoService final : public v1::Runtime::CallbackService {
  grpc::ServerUnaryReactor* Invoke(grpc::CallbackServerContext* context, const v1::InvokeRequest* request,
                                   v1::InvokeReply* reply) override {
    reply->set_body(request->body());
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  grpc::ServerBidiReactor<v1::ServeRequest, v1::ServeReply>* Serve(grpc::CallbackServerContext*) override {
    return new EchoStream;
  }
};

int RunEchoServer(const std::string& address) {
  EchoService service;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials());
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  if (!server) return 1;
  server->Wait();
  return 0;
}

// ---- Processes -------------------------------------------------------------------------------------------------------

class Process {
 public:
  explicit Process(std::vector<std::string> arguments) {
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
  }
  ~Process() {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // CPU seconds of the process and all its descendants.
  double Cpu() const {
    std::map<int, std::pair<int, double>> processes;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const int pid = std::atoi(entry.path().filename().c_str());
      if (pid <= 0) continue;
      std::ifstream file(entry.path() / "stat");
      std::string text;
      std::getline(file, text);
      const std::size_t after = text.rfind(')');
      int parent = 0;
      unsigned long user = 0, system = 0;
      if (after == std::string::npos ||
          std::sscanf(text.c_str() + after + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                      &parent, &user, &system) != 3) {
        continue;
      }
      processes[pid] = {parent,
                        static_cast<double>(user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK))};
    }
    double sum = 0;
    for (const auto& [pid, process] : processes) {
      for (int at = pid; processes.contains(at); at = processes[at].first) {
        if (at == pid_) {
          sum += process.second;
          break;
        }
      }
    }
    return sum;
  }

 private:
  pid_t pid_ = 0;
};

double OwnCpu() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

// ---- Clients ---------------------------------------------------------------------------------------------------------

// Counts answers while it measures, and says when callers are to stop.
class Meter {
 public:
  void Answered(Clock::time_point sent, bool good) {
    const auto took = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - sent);
    const std::lock_guard lock(mutex_);
    if (!good) ++failed_;
    if (measures_) latencies_.push_back(static_cast<std::uint32_t>(took.count() / 100));
  }
  void Message() {
    const std::lock_guard lock(mutex_);
    if (measures_) ++messages_;
  }
  bool stopping() const { return stopping_; }
  void Measure(bool on) {
    const std::lock_guard lock(mutex_);
    measures_ = on;
  }
  void Stop() { stopping_ = true; }

  // The others are gone by then.
  std::size_t failed() const { return failed_; }
  std::size_t messages() const { return messages_; }
  std::size_t count() const { return latencies_.size(); }
  double Percentile(double share) {
    if (latencies_.empty()) return 0;
    const auto at =
        latencies_.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(latencies_.size() - 1));
    std::nth_element(latencies_.begin(), at, latencies_.end());
    return *at / 10.0;
  }

 private:
  std::mutex mutex_;
  std::vector<std::uint32_t> latencies_;  // in 100 ns
  bool measures_ = false;
  std::size_t failed_ = 0;
  std::size_t messages_ = 0;
  std::atomic<bool> stopping_{false};
};

// `concurrency` unary calls at a time.
class UnaryClient {
 public:
  UnaryClient(v1::Runtime::Stub& stub, const Options& options, Meter& meter)
      : stub_(stub), meter_(meter), slots_(static_cast<std::size_t>(options.concurrency)) {
    for (Slot& slot : slots_) slot.request.set_body(std::string(options.payload, 'x'));
    running_ = options.concurrency;
    for (Slot& slot : slots_) Call(slot);
  }
  ~UnaryClient() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return running_ == 0; });
  }

 private:
  struct Slot {
    std::unique_ptr<grpc::ClientContext> context;
    v1::InvokeRequest request;
    v1::InvokeReply reply;
    Clock::time_point sent;
  };
  void Call(Slot& slot) {
    slot.context = std::make_unique<grpc::ClientContext>();
    slot.sent = Clock::now();
    stub_.async()->Invoke(
        slot.context.get(), &slot.request, &slot.reply, [this, &slot](const grpc::Status& status) {
          meter_.Answered(slot.sent, status.ok() && slot.reply.body().size() == slot.request.body().size());
          if (!meter_.stopping()) return Call(slot);
          const std::lock_guard lock(mutex_);
          if (--running_ == 0) idle_.notify_all();
        });
  }

  v1::Runtime::Stub& stub_;
  Meter& meter_;
  std::vector<Slot> slots_;
  std::mutex mutex_;
  std::condition_variable idle_;
  int running_ = 0;
};

// `concurrency` calls at a time on one stream. With `batches`, a message carries all that is ready, as a gateway's does;
// without, one call.
class StreamClient final : public grpc::ClientBidiReactor<v1::ServeRequest, v1::ServeReply> {
 public:
  StreamClient(v1::Runtime::Stub& stub, const Options& options, Meter& meter, bool batches)
      : meter_(meter),
        batches_(batches),
        payload_(options.payload, 'x'),
        sent_(static_cast<std::size_t>(options.concurrency)) {
    stub.async()->Serve(&context_, this);
    for (int i = 0; i < options.concurrency; ++i) ready_.push_back(static_cast<std::size_t>(i));
    StartRead(&reply_);
    StartCall();
    std::unique_lock lock(mutex_);
    Flush(lock);
  }
  ~StreamClient() override {
    std::unique_lock lock(mutex_);
    done_changed_.wait(lock, [this] { return done_; });
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    for (const v1::ResponsePart& part : reply_.parts()) {
      const std::size_t slot = part.call() % sent_.size();
      const bool good = part.data().size() == payload_.size() &&
                        (!part.has_result() || part.result().outcome() == v1::OUTCOME_OK);
      meter_.Answered(sent_[slot], good);
      slots_of_reply_.push_back(slot);
    }
    meter_.Message();
    std::unique_lock lock(mutex_);
    ready_.insert(ready_.end(), slots_of_reply_.begin(), slots_of_reply_.end());
    slots_of_reply_.clear();
    Flush(lock);
    if (lock.owns_lock()) lock.unlock();
    StartRead(&reply_);
  }
  void OnWriteDone(bool) override {
    std::unique_lock lock(mutex_);
    writing_ = false;
    Flush(lock);
  }
  void OnDone(const grpc::Status&) override {
    const std::lock_guard lock(mutex_);
    done_ = true;
    done_changed_.notify_all();
  }

 private:
  void Flush(std::unique_lock<std::mutex>& lock) {
    if (writing_ || closed_) return;
    if (meter_.stopping()) {
      if (ready_.size() < sent_.size()) return;
      closed_ = true;
      lock.unlock();
      StartWritesDone();
      context_.TryCancel();
      return;
    }
    if (ready_.empty()) return;
    request_.Clear();
    const Clock::time_point now = Clock::now();
    do {
      const std::size_t slot = ready_.back();
      ready_.pop_back();
      sent_[slot] = now;
      v1::RequestPart& part = *request_.add_parts();
      part.set_call(slot + sent_.size() * ++round_);
      part.mutable_start()->set_invocation_id("0123456789abcdef");
      part.mutable_start()->set_timeout_ms(10'000);
      part.mutable_start()->set_window(1 << 20);
      part.set_data(payload_);
      part.set_end(true);
    } while (batches_ && !ready_.empty());
    writing_ = true;
    lock.unlock();
    StartWrite(&request_);
  }

  Meter& meter_;
  const bool batches_;
  const std::string payload_;
  grpc::ClientContext context_;
  v1::ServeRequest request_;
  v1::ServeReply reply_;
  std::vector<std::size_t> slots_of_reply_;
  std::mutex mutex_;
  std::condition_variable done_changed_;
  std::vector<Clock::time_point> sent_;
  std::vector<std::size_t> ready_;
  std::uint64_t round_ = 0;
  bool writing_ = false;
  bool closed_ = false;
  bool done_ = false;
};

// ---- The run ---------------------------------------------------------------------------------------------------------

bool Measure(const std::string& name, const std::string& address, const Process& server,
             const Options& options) {
  if (!options.only.empty() && options.only != name) return true;
  const auto channel = grpc::CreateChannel("unix:" + address, grpc::InsecureChannelCredentials());
  if (!channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(10))) {
    std::fprintf(stderr, "runtime_bench: no server at %s\n", address.c_str());
    return false;
  }
  const auto stub = v1::Runtime::NewStub(channel);
  Meter meter;
  double client_cpu = 0, server_cpu = 0, took = 0;
  const auto run = [&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    const double client_before = OwnCpu(), server_before = server.Cpu();
    const Clock::time_point begin = Clock::now();
    meter.Measure(true);
    std::this_thread::sleep_for(std::chrono::duration<double>(options.seconds));
    meter.Measure(false);
    took = std::chrono::duration<double>(Clock::now() - begin).count();
    client_cpu = OwnCpu() - client_before;
    server_cpu = server.Cpu() - server_before;
    meter.Stop();
  };
  if (name == "grpc_unary" || name == "invoke_isolated") {
    UnaryClient client(*stub, options, meter);
    run();
  } else {
    StreamClient client(*stub, options, meter, name != "grpc_stream");
    run();
  }
  if (meter.failed() > 0) {
    std::fprintf(stderr, "runtime_bench: %s: %zu wrong answers\n", name.c_str(), meter.failed());
    return false;
  }
  std::printf("figure %s %.0f rps\n", name.c_str(), static_cast<double>(meter.count()) / took);
  std::printf("figure %s_p50 %.1f us\n", name.c_str(), meter.Percentile(0.5));
  std::printf("figure %s_p99 %.1f us\n", name.c_str(), meter.Percentile(0.99));
  std::printf("figure %s_client_cpu %.2f cores\n", name.c_str(), client_cpu / took);
  std::printf("figure %s_server_cpu %.2f cores\n", name.c_str(), server_cpu / took);
  if (meter.messages() > 0) {
    std::printf("figure %s_answers_per_message %.1f answers\n", name.c_str(),
                static_cast<double>(meter.count()) / static_cast<double>(meter.messages()));
  }
  std::fflush(stdout);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  base::SkipLockChecks();  // as mayfly-runtime does: the bare server gains as much by it
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    if (flag == "--echo-server") return RunEchoServer(argv[i + 1]);
    if (flag == "--seconds") options.seconds = std::atof(argv[i + 1]);
    if (flag == "--concurrency") options.concurrency = std::max(1, std::atoi(argv[i + 1]));
    if (flag == "--payload") options.payload = static_cast<std::size_t>(std::atol(argv[i + 1]));
    if (flag == "--only") options.only = argv[i + 1];
    if (flag == "--module") options.module = argv[i + 1];
  }
  std::string pattern = (std::filesystem::temp_directory_path() / "mayfly-bench-XXXXXX").string();
  const std::string folder = ::mkdtemp(pattern.data());
  bool good = false;
  {
    const Process echo({"/proc/self/exe", "--echo-server", "unix:" + folder + "/echo"});
    const Process runtime({MAYFLY_BIN_DIR "/mayfly-runtime", "--listen", "unix:" + folder + "/runtime",
                           "--state-dir", folder + "/state", "--log-level", "warn", "--module",
                           options.module, "--concurrency", std::to_string(options.concurrency),
                           "--drain-timeout", "1"});
    // The socket is there before the module is: a call until then is refused.
    good = true;
    const auto channel =
        grpc::CreateChannel("unix:" + folder + "/runtime", grpc::InsecureChannelCredentials());
    const auto stub = v1::Runtime::NewStub(channel);
    const Clock::time_point patience = Clock::now() + std::chrono::seconds(10);
    v1::DescribeReply described;
    while (described.capacity().slots() == 0 && Clock::now() < patience) {
      grpc::ClientContext context;
      context.set_wait_for_ready(true);
      context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
      stub->Describe(&context, {}, &described);
    }
    good = good && Measure("grpc_unary", folder + "/echo", echo, options);
    good = good && Measure("grpc_stream", folder + "/echo", echo, options);
    good = good && Measure("invoke_isolated", folder + "/runtime", runtime, options);
    good = good && Measure("serve_isolated", folder + "/runtime", runtime, options);
  }
  std::filesystem::remove_all(folder);
  return good ? 0 : 1;
}
