// The full storm: prints its figures, and writes them as JSON to the file that its argument names.
//
//   build/release/chaos/storm build/chaos/storm.json
//   build/release/chaos/storm /tmp/other.json --seed 7 --kill-runtime-every 50 --longest-handler 0
#include <sys/utsname.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/chaos/storm.h"

namespace mayfly::chaos {
namespace {

using nlohmann::ordered_json;

ordered_json Json(const StormOptions& options, const StormReport& report) {
  return {{"name", options.name},
          {"requests", report.requests},
          {"connections", options.connections},
          {"concurrency", options.concurrency},
          {"maxReplicas", options.max_replicas},
          {"timeoutMs", options.timeout.count()},
          {"seconds", static_cast<double>(report.took.count()) / 1'000},
          {"workersKilled", report.workers_killed},
          {"runtimesKilled", report.runtimes_killed},
          {"right", report.right},
          {"failed", report.failed},
          {"p50Ms", report.p50.count()},
          {"p99Ms", report.p99.count()},
          {"longestMs", report.longest.count()},
          {"longestSilenceMs", report.longest_silence.count()},
          {"toZeroMs", report.to_zero.count()},
          {"toEndMs", report.to_end.count()},
          {"violations", report.violations}};
}

void Print(const StormReport& report) {
  const auto number = [](const char* what, int value) { std::printf("  %-42s %8d\n", what, value); };
  const auto time = [](const char* what, std::chrono::milliseconds value) {
    std::printf("  %-42s %8lld ms\n", what, static_cast<long long>(value.count()));
  };
  number("requests", report.requests);
  number("workers killed", report.workers_killed);
  number("runtimes killed", report.runtimes_killed);
  number("right answers", report.right);
  for (const auto& [reason, count] : report.failed) number(("failed: " + reason).c_str(), count);
  time("all of it", report.took);
  time("p50", report.p50);
  time("p99", report.p99);
  time("longest request", report.longest);
  time("longest time without any right answer", report.longest_silence);
  time("from the last answer to no process left", report.to_zero);
  time("from SIGINT to the end", report.to_end);
  number("violations", static_cast<int>(report.violations.size()));
  for (const std::string& violation : report.violations) std::printf("    %s\n", violation.c_str());
  std::fflush(stdout);
}

int Run(const std::string& file, StormOptions many) {
  many.name = "many replicas";
  StormOptions one = many;
  one.name = "one replica";
  one.concurrency = 64;
  one.max_replicas = 1;
  ordered_json runs = ordered_json::array();
  bool good = true;
  for (const StormOptions& options : {many, one}) {
    std::printf("%s: %d requests over %d connections, at most %d of %d slots\n", options.name.c_str(),
                options.requests, options.connections, options.max_replicas, options.concurrency);
    std::fflush(stdout);
    const StormReport report = RunStorm(options);
    Print(report);
    good = good && report.violations.empty();
    runs.push_back(Json(options, report));
  }
  utsname machine{};
  ::uname(&machine);
  const ordered_json document = {
      {"runs", runs},
      {"machine", {{"kernel", machine.release}, {"processors", std::thread::hardware_concurrency()}}}};
  std::filesystem::create_directories(std::filesystem::absolute(file).parent_path());
  std::ofstream out(file);
  out << document.dump(2) << "\n";
  out.close();
  if (!out) {
    std::fprintf(stderr, "storm: cannot write %s\n", file.c_str());
    return 1;
  }
  return good ? 0 : 1;
}

}  // namespace
}  // namespace mayfly::chaos

int main(int argc, char** argv) {
  mayfly::chaos::StormOptions options;
  std::string file;
  CLI::App app("Serves requests with mayfly up while its workers and runtimes are killed at random.");
  app.add_option("file", file, "Where the figures go, as JSON")->required();
  app.add_option("--requests", options.requests, "Of each run")->check(CLI::Range(1, 10'000'000));
  app.add_option("--seed", options.seed, "Chooses whom to kill, and the requests");
  const auto milliseconds = [&app](const char* name, std::chrono::milliseconds& value, const char* what) {
    app.add_option_function<int>(
           name, [&value](int given) { value = std::chrono::milliseconds(given); }, what)
        ->check(CLI::Range(0, 60'000));
  };
  milliseconds("--longest-handler", options.longest_handler, "A handler takes up to this (ms)");
  milliseconds("--kill-worker-every", options.kill_worker_every, "ms");
  milliseconds("--kill-runtime-every", options.kill_runtime_every, "ms");
  CLI11_PARSE(app, argc, argv);
  return mayfly::chaos::Run(file, options);
}
