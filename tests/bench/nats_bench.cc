// What to hold triggers of NATS against, and what fills a stream for it.
//
//   nats_bench fill  URL STREAM COUNT BYTES   makes the stream with COUNT messages
//   nats_bench plain URL STREAM COUNT         takes and acknowledges them one by one, as a program in C with libnats does
//   nats_bench idle  URL STREAM COUNT         COUNT triggers that wait for what does not come
//
// prints: figure NAME VALUE UNIT
#include <nats/nats.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "gateway/sources/nats/nats_source.h"
#include "gateway/sources/testing/recording_event_sink.h"

namespace {

using namespace mayfly;           // NOLINT: a program of one file
using namespace mayfly::gateway;  // NOLINT
using Clock = std::chrono::steady_clock;

void Must(natsStatus status, const char* what) {
  if (status == NATS_OK) return;
  std::fprintf(stderr, "nats_bench: %s: %s\n", what, natsStatus_GetText(status));
  std::exit(1);
}

double Since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

struct Connection {
  explicit Connection(const char* url) {
    Must(natsConnection_ConnectTo(&nats, url), "connect");
    jsOptions options;
    jsOptions_Init(&options);
    options.PublishAsync.MaxPending = 4'096;
    options.PublishAsync.StallWait = 10'000;
    Must(natsConnection_JetStream(&js, nats, &options), "JetStream");
  }
  natsConnection* nats = nullptr;
  jsCtx* js = nullptr;
};

void Fill(const char* url, const std::string& stream, int count, int bytes) {
  Connection connection(url);
  js_DeleteStream(connection.js, stream.c_str(), nullptr, nullptr);
  const std::string subject = stream + ".x";
  const char* subjects[] = {subject.c_str()};
  jsStreamConfig config;
  jsStreamConfig_Init(&config);
  config.Name = stream.c_str();
  config.Subjects = subjects;
  config.SubjectsLen = 1;
  Must(js_AddStream(nullptr, connection.js, &config, nullptr, nullptr), "stream");
  const std::string body(static_cast<std::size_t>(bytes), 'x');
  for (int i = 0; i < count; ++i)
    Must(js_PublishAsync(connection.js, subject.c_str(), body.data(), bytes, nullptr), "publish");
  if (count > 0) Must(js_PublishAsyncComplete(connection.js, nullptr), "publish");
}

void Plain(const char* url, const std::string& stream, int count) {
  Connection connection(url);
  jsSubOptions options;
  jsSubOptions_Init(&options);
  options.Stream = stream.c_str();
  options.Config.AckPolicy = js_AckExplicit;
  options.Config.MaxAckPending = 100'000;
  natsSubscription* subscription = nullptr;
  Must(js_PullSubscribe(&subscription, connection.js, (stream + ".x").c_str(), "plain", nullptr, &options,
                        nullptr),
       "subscribe");
  const auto begin = Clock::now();
  for (int taken = 0; taken < count;) {
    natsMsgList list;
    if (natsSubscription_Fetch(&list, subscription, 1'000, 5'000, nullptr) != NATS_OK) break;
    for (int i = 0; i < list.Count; ++i) Must(natsMsg_Ack(list.Msgs[i], nullptr), "ack");
    taken += list.Count;
    natsMsgList_Destroy(&list);
  }
  Must(natsConnection_Flush(connection.nats), "flush");
  std::printf("figure plain_events_per_s %.0f 1/s\n", count / Since(begin));
}

long ResidentKb() {
  std::ifstream file("/proc/self/statm");
  long pages = 0;
  long resident = 0;
  file >> pages >> resident;
  return resident * (::sysconf(_SC_PAGESIZE) / 1024);
}

void Idle(const char* url, const std::string& stream, int count) {
  const base::RealClock clock;
  const auto factory = MakeNatsFactory();
  std::vector<std::unique_ptr<RecordingEventSink>> sinks;
  std::vector<std::unique_ptr<EventSource>> sources;
  const auto add = [&](int number) {
    v1::EventTrigger trigger;
    trigger.set_name("t" + std::to_string(number));
    trigger.mutable_nats()->add_servers(url);
    trigger.mutable_nats()->set_stream(stream);
    SourceContext context;
    context.key = {"default/f", trigger.name()};
    context.clock = &clock;
    sources.push_back(factory->Make(trigger, context).value());
    sinks.push_back(std::make_unique<RecordingEventSink>());
    if (!sources.back()->Start(*sinks.back()).ok()) std::exit(1);
    sources.back()->Grant(10'000);
  };
  const auto settle = [&] {
    const auto deadline = Clock::now() + std::chrono::seconds(60);
    for (const auto& sink : sinks) {
      while (!sink->health() || !sink->health()->ok()) {
        if (Clock::now() > deadline) std::exit(1);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
    }
  };
  add(0);
  settle();
  const long before = ResidentKb();
  for (int i = 1; i <= count; ++i) add(i);
  settle();
  std::printf("figure idle_trigger_kb %.1f KB\n", static_cast<double>(ResidentKb() - before) / count);
  std::fflush(stdout);
  std::_Exit(0);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 4 ? argv[1] : "";
  if (what == "fill" && argc > 5) {
    Fill(argv[2], argv[3], std::atoi(argv[4]), std::atoi(argv[5]));
  } else if (what == "plain") {
    Plain(argv[2], argv[3], std::atoi(argv[4]));
  } else if (what == "idle") {
    Idle(argv[2], argv[3], std::atoi(argv[4]));
  } else {
    std::fprintf(stderr, "nats_bench fill|plain|idle URL STREAM COUNT [BYTES]\n");
    return 2;
  }
  return 0;
}
