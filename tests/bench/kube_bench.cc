// The Kubernetes client against a real API server: how long a write takes to reach a handler, and what 10,000 cached
// pods cost. Prints one JSON object; progress goes to stderr.
//
//   kube_bench [writes per second = 300] [seconds = 20] [pods = 10000]
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "operator/kube/client.h"
#include "operator/kube/credentials.h"
#include "operator/kube/curl_transport.h"
#include "operator/kube/informer.h"
#include "operator/kube/load_config.h"
#include "operator/kube/object_meta.h"
#include "tests/cluster/running_api_server.h"

namespace {

using namespace mayfly;  // NOLINT: one program
using nlohmann::json;
using std::chrono::seconds;
using std::chrono::steady_clock;

[[noreturn]] void Fail(const absl::Status& status) {
  std::fprintf(stderr, "kube_bench: %s\n", status.ToString().c_str());
  std::exit(1);
}

double ResidentMegabytes() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VmRSS:")) return std::stod(line.substr(6)) / 1024;
  }
  return 0;
}

std::int64_t NowNanoseconds() { return steady_clock::now().time_since_epoch().count(); }

// The number of the write that was last to an object.
struct Stamp {
  std::int64_t write = -1;

  bool operator==(const Stamp&) const = default;
};

// What a reconciler reads of a pod.
struct Pod {
  kube::ObjectMeta meta;
  std::string owner;
  std::string revision;
  std::string phase;
  std::string address;
  std::string node;

  bool operator==(const Pod&) const = default;
};

Pod ReadPod(const kube::JsonView& object) {
  const kube::JsonView status = object["status"];
  return {.meta = kube::ReadMeta(object),
          .owner = std::string(kube::ControllerUid(object)),
          .revision = std::string(object["metadata"]["labels"]["mayfly.dev/revision"].Text()),
          .phase = std::string(status["phase"].Text()),
          .address = std::string(status["podIP"].Text()),
          .node = std::string(object["spec"]["nodeName"].Text())};
}

std::string PodJson(int number) {
  return json{{"apiVersion", "v1"},
              {"kind", "Pod"},
              {"metadata",
               {{"name", "thumbnail-5f6d8c7b9-" + std::to_string(number)},
                {"labels",
                 {{"mayfly.dev/function", "thumbnail"},
                  {"mayfly.dev/revision", "5f6d8c7b9"},
                  {"app.kubernetes.io/managed-by", "mayfly"}}}}},
              {"spec",
               {{"containers",
                 {{{"name", "runtime"},
                   {"image", "registry.example/mayfly/runtime:1"},
                   {"env", {{{"name", "A"}, {"value", "b"}}}},
                   {"ports", {{{"containerPort", 9000}}}}}}}}}}
      .dump();
}

double At(std::vector<double>& values, double part) {
  if (values.empty()) return -1;
  std::ranges::sort(values);
  return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1))];
}

// The bound below which 99 % of what the informer itself measured lie: from the arrival of an event to its handlers' end.
double OwnLagP99(base::Metrics& metrics) {
  for (const auto& family : metrics.registry()->Collect()) {
    if (family.name != "mayfly_kube_watch_lag_seconds") continue;
    const auto& histogram = family.metric.front().histogram;
    for (const auto& bucket : histogram.bucket) {
      if (static_cast<double>(bucket.cumulative_count) >=
          0.99 * static_cast<double>(histogram.sample_count)) {
        return bucket.upper_bound * 1000;
      }
    }
  }
  return -1;
}

// What happened to one write, on the monotonic clock.
struct Write {
  std::int64_t sent = 0;
  std::int64_t answered = 0;
  std::atomic<std::int64_t> seen = 0;
};

json MeasureLag(kube::Client& client, int per_second, int for_seconds) {
  constexpr int kObjects = 200;
  constexpr int kWriters = 8;
  for (int i = 0; i < kObjects; ++i) {
    const json object = {
        {"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", {{"name", "lag-" + std::to_string(i)}}}};
    const auto made = client.Create(kube::ConfigMaps(), "default", object.dump());
    if (!made.ok()) Fail(made.status());
  }
  std::vector<Write> writes(static_cast<std::size_t>(per_second) * static_cast<std::size_t>(for_seconds));
  kube::Informer<Stamp> stamps(
      client, {.resource = kube::ConfigMaps(), .space = "default"}, [](const kube::JsonView& object) {
        return Stamp{std::atoll(std::string(object["data"]["write"].Text("-1")).c_str())};
      });
  std::atomic<std::size_t> seen = 0;
  stamps.AddHandler([&](const std::string& key) {
    const auto stamp = stamps.Get(key);
    if (!stamp || stamp->write < 0) return;
    writes[static_cast<std::size_t>(stamp->write)].seen = NowNanoseconds();
    ++seen;
  });
  stamps.Start();
  if (!stamps.WaitSynced(steady_clock::now() + seconds(30))) Fail(absl::DeadlineExceededError("not synced"));

  std::atomic<std::size_t> next = 0;
  const auto begin = steady_clock::now();
  {
    std::vector<std::jthread> writers;
    for (int w = 0; w < kWriters; ++w) {
      writers.emplace_back([&] {
        for (std::size_t number = next++; number < writes.size(); number = next++) {
          std::this_thread::sleep_until(begin +
                                        std::chrono::nanoseconds(1'000'000'000) * number / per_second);
          writes[number].sent = NowNanoseconds();
          const auto patched = client.Patch(
              kube::ConfigMaps(),
              {.space = "default", .name = "lag-" + std::to_string(number % kObjects), .subresource = ""},
              kube::PatchType::kMerge, json{{"data", {{"write", std::to_string(number)}}}}.dump());
          if (!patched.ok()) Fail(patched.status());
          writes[number].answered = NowNanoseconds();
        }
      });
    }
  }
  const double took = std::chrono::duration<double>(steady_clock::now() - begin).count();
  for (int i = 0; i < 500 && seen < writes.size(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  stamps.Stop();
  std::vector<double> to_answer;
  std::vector<double> from_sent;
  std::vector<double> from_answer;
  for (const Write& write : writes) {
    to_answer.push_back(static_cast<double>(write.answered - write.sent) / 1e6);
    if (write.seen == 0) continue;
    from_sent.push_back(static_cast<double>(write.seen - write.sent) / 1e6);
    from_answer.push_back(static_cast<double>(std::max<std::int64_t>(0, write.seen - write.answered)) / 1e6);
  }
  return {{"writes", writes.size()},
          {"writes_seen", from_sent.size()},
          {"writes_per_second", static_cast<double>(writes.size()) / took},
          {"write_p50_ms", At(to_answer, 0.5)},
          {"write_p99_ms", At(to_answer, 0.99)},
          {"watch_lag_from_send_p50_ms", At(from_sent, 0.5)},
          {"watch_lag_from_send_p99_ms", At(from_sent, 0.99)},
          {"watch_lag_from_answer_p50_ms", At(from_answer, 0.5)},
          {"watch_lag_p99_ms", At(from_answer, 0.99)},
          {"informer_p99_below_ms", OwnLagP99(client.metrics())}};
}

json MeasureCache(kube::Client& client, int pods) {
  std::atomic<int> next = 0;
  {
    std::vector<std::jthread> makers;
    for (int m = 0; m < 8; ++m) {
      makers.emplace_back([&] {
        for (int number = next++; number < pods; number = next++) {
          const auto made = client.Create(kube::Pods(), "default", PodJson(number));
          if (!made.ok()) Fail(made.status());
        }
      });
    }
  }
  std::fprintf(stderr, "kube_bench: %d pods are made\n", pods);
  const double before = ResidentMegabytes();
  kube::Informer<Pod> cache(client, {.resource = kube::Pods(), .space = "default"}, ReadPod);
  const auto begin = steady_clock::now();
  cache.Start();
  if (!cache.WaitSynced(begin + seconds(120))) Fail(absl::DeadlineExceededError("not synced"));
  const double took = std::chrono::duration<double>(steady_clock::now() - begin).count();
  return {{"pods", cache.size()},
          {"list_seconds", took},
          {"rss_before_mb", before},
          {"rss_after_mb", ResidentMegabytes()},
          {"cache_mb", ResidentMegabytes() - before}};
}

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int index, int otherwise) {
    return argc > index ? std::atoi(argv[index]) : otherwise;
  };
  auto server = mayfly::testing::RunningApiServer::Start();
  if (!server.ok()) Fail(server.status());
  kube::LoadOptions options;
  options.file = server->kubeconfig();
  const auto config = kube::LoadConfig(options);
  if (!config.ok()) Fail(config.status());
  base::RealClock clock;
  base::Metrics metrics;
  kube::Credentials credentials(*config, clock);
  kube::CurlTransport transport(credentials, "kube_bench");
  kube::Client client(transport, metrics, clock, {.per_second = 1e5, .burst = 1e5});

  json figures = MeasureLag(client, argument(1, 300), argument(2, 20));
  figures.update(MeasureCache(client, argument(3, 10'000)));
  std::printf("%s\n", figures.dump(2).c_str());
  return 0;
}
