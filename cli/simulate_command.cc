#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/terminal.h"
#include "operator/api/manifest.h"
#include "operator/autoscaler/scaling_spec.h"
#include "operator/simulation/chart.h"
#include "operator/simulation/simulation.h"

namespace mayfly::cli {
namespace {

struct SimulateOptions {
  std::string trace;
  std::string pattern = "burst";
  std::string manifest;
  std::string function;
  std::vector<std::string> policies = op::PolicyNames();
  double milliseconds = 100;
  double startup = 2;
  std::uint64_t seed = 1;
  std::string start;
  std::string chart;
  std::string output = "table";
};

absl::StatusOr<op::FunctionSpec> ReadSpec(const SimulateOptions& options) {
  if (options.manifest.empty()) return op::FunctionSpec();
  const op::Manifest manifest = op::ReadManifestFile(options.manifest);
  if (const std::vector<op::Mistake> mistakes = manifest.AllMistakes(); !mistakes.empty())
    return absl::InvalidArgumentError(mistakes.front().ToString());
  std::vector<const op::Function*> found;
  for (const op::ManifestDocument& document : manifest.documents) {
    if (document.function && (options.function.empty() || document.function->name == options.function))
      found.push_back(&*document.function);
  }
  if (found.size() == 1) return found.front()->spec;
  if (found.empty()) {
    return absl::NotFoundError(options.function.empty()
                                   ? absl::StrCat(options.manifest, " has no Function")
                                   : absl::StrCat(options.manifest, " has no Function ", options.function));
  }
  return absl::InvalidArgumentError(
      absl::StrCat(options.manifest, " has ", found.size(), " Functions; choose one with --function"));
}

absl::StatusOr<base::WallTime> StartOf(const SimulateOptions& options) {
  if (options.start.empty()) return op::kMonday;
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, options.start, &time, &error))
    return absl::InvalidArgumentError(
        absl::StrCat("--start ", options.start, " is no time as in 2026-01-05T08:00:00+01:00"));
  return absl::ToChronoTime(time);
}

absl::StatusOr<op::Workload> ReadWorkload(const SimulateOptions& options) {
  const double seconds = options.milliseconds / 1e3;
  if (options.trace.empty()) return op::MakePattern(options.pattern, seconds, options.seed);
  std::ifstream file(options.trace);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read ", options.trace));
  return op::ReadTrace(file, options.trace, seconds, options.seed);
}

nlohmann::ordered_json ToJson(const op::SimResult& result) {
  return {{"policy", result.policy},
          {"requests", result.requests},
          {"failed", result.failed},
          {"waited", result.waited},
          {"waitSeconds",
           {{"p50", result.wait_p50},
            {"p95", result.wait_p95},
            {"p99", result.wait_p99},
            {"max", result.wait_max}}},
          {"replicaSeconds", result.replica_seconds},
          {"busyReplicaSeconds", result.busy_seconds},
          {"mostReplicas", result.most_replicas},
          {"flaps", result.flaps}};
}

void PrintTable(const op::Workload& workload, const std::vector<op::SimResult>& results) {
  fmt::print("{}: {} requests in {:.0f} s\n\n", workload.name, workload.requests.size(), workload.length);
  fmt::print("{:10} {:>16} {:>8} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8} {:>6} {:>6}\n", "POLICY",
             "REPLICA SECONDS", "USED", "WAIT P50", "P95", "P99", "MAX", "WAITED", "FAILED", "MOST", "FLAPS");
  for (const op::SimResult& result : results) {
    const double used = result.replica_seconds > 0 ? result.busy_seconds / result.replica_seconds : 0;
    fmt::print("{:10} {:>16.0f} {:>8.0f}% {:>7.3f}s {:>8.3f}s {:>8.3f}s {:>8.3f}s {:>8} {:>8} {:>6} {:>6}\n",
               result.policy, result.replica_seconds, used * 100, result.wait_p50, result.wait_p95,
               result.wait_p99, result.wait_max, result.waited, result.failed, result.most_replicas,
               result.flaps);
  }
}

int Run(const SimulateOptions& options) {
  const absl::StatusOr<op::FunctionSpec> spec = ReadSpec(options);
  if (!spec.ok()) return Fail(spec.status(), kExitFailed);
  const absl::StatusOr<op::Workload> workload = ReadWorkload(options);
  if (!workload.ok()) return Fail(workload.status(), kExitFailed);
  const op::SimOptions life{.slots = spec->concurrency,
                            .startup = options.startup,
                            .timeout = std::chrono::duration<double>(spec->timeout).count()};
  const absl::StatusOr<base::WallTime> start = StartOf(options);
  if (!start.ok()) return Fail(start.status(), kExitUsage);
  std::vector<op::SimResult> results;
  for (const std::string& name : options.policies) {
    const absl::StatusOr<std::unique_ptr<op::ScalingPolicy>> policy =
        op::MakePolicy(name, op::ScalingSpecOf(*spec), *start);
    if (!policy.ok()) return Fail(policy.status(), kExitUsage);
    results.push_back(op::Simulate(*workload, **policy, life));
  }
  if (!options.chart.empty()) {
    std::ofstream file(options.chart);
    file << op::DrawSvg(*workload, results, life.slots);
    if (!file.flush())
      return Fail(absl::UnavailableError(absl::StrCat("cannot write ", options.chart)), kExitFailed);
  }
  if (options.output == "json") {
    nlohmann::ordered_json json = {
        {"workload", workload->name}, {"seconds", workload->length}, {"results", nlohmann::json::array()}};
    for (const op::SimResult& result : results) json["results"].push_back(ToJson(result));
    fmt::print("{}\n", json.dump(2));
  } else {
    PrintTable(*workload, results);
  }
  return kExitOk;
}

}  // namespace

void AddSimulate(CLI::App& app, Action& action) {
  CLI::App* const command =
      app.add_subcommand("simulate", "Run the autoscaler over recorded or made load, beside what others do");
  const auto options = std::make_shared<SimulateOptions>();
  command
      ->add_option("TRACE", options->trace,
                   "CSV of seconds,requests[,milliseconds]: what came from each moment on")
      ->type_name("");
  command
      ->add_option("--load,-l", options->pattern,
                   "Without a trace: step, ramp, diurnal, burst, onoff or azure")
      ->check(CLI::IsMember({"azure", "burst", "diurnal", "onoff", "ramp", "step"}))
      ->type_name("PATTERN")
      ->capture_default_str();
  command
      ->add_option("--file,-f", options->manifest, "The Function whose scaling, concurrency and timeout hold")
      ->type_name("FILE");
  command->add_option("--function", options->function, "Which, if the file has several")->type_name("NAME");
  command->add_option("--policy", options->policies, "Whose rules: mayfly, knative, hpa-keda")
      ->type_name("NAME,…")
      ->delimiter(',');
  command
      ->add_option("--milliseconds", options->milliseconds,
                   "How long a request runs, where the trace does not say")
      ->check(CLI::Range(0.1, 3.6e6))
      ->type_name("MS")
      ->capture_default_str();
  command->add_option("--startup", options->startup, "Seconds from a decision to a ready replica")
      ->check(CLI::Range(0.0, 3600.0))
      ->type_name("S")
      ->capture_default_str();
  command
      ->add_option("--start", options->start,
                   "When the load begins, for scaling.schedules, which Mayfly alone looks at: a time as in "
                   "2026-01-05T08:00:00+01:00; default: Monday, 5 January 2026, midnight in UTC")
      ->type_name("TIME");
  command->add_option("--seed", options->seed, "Of what is random: the same seed, the same load")
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--chart", options->chart, "Draw it, as SVG, into this file")->type_name("FILE.svg");
  command->add_option("--output,-o", options->output, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->type_name("FORMAT");
  command->footer(
      "Examples:\n"
      "  mayfly simulate --load burst -f function.yaml --chart burst.svg\n"
      "  mayfly simulate monday.csv -f function.yaml --policy mayfly,knative -o json\n"
      "  mayfly simulate --load azure --seed 7 --startup 0.01");
  command->callback([&action, options] { action = [options] { return Run(*options); }; });
}

}  // namespace mayfly::cli
