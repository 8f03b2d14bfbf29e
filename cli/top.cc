#include "cli/top.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <thread>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/metrics_text.h"
#include "cli/table.h"

namespace mayfly::cli {
namespace {

// How much a counter has grown; one that is smaller was begun anew.
double Grown(double before, double now) { return now >= before ? now - before : now; }

double* FieldOf(FunctionMetrics& of, std::string_view name, const MetricLabels& labels) {
  if (name == "mayfly_function_replicas") {
    const auto state = labels.find("state");
    if (state == labels.end()) return nullptr;
    return state->second == "desired" ? &of.desired : state->second == "ready" ? &of.ready : nullptr;
  }
  static const std::unordered_map<std::string_view, double FunctionMetrics::*> kFields = {
      {"mayfly_inflight", &FunctionMetrics::in_flight},
      {"mayfly_held_requests", &FunctionMetrics::held},
      {"mayfly_accepted_total", &FunctionMetrics::accepted},
      {"mayfly_hold_duration_seconds_sum", &FunctionMetrics::wait_seconds},
      {"mayfly_usage_cpu_seconds_total", &FunctionMetrics::cpu_seconds},
      {"mayfly_usage_memory_byte_seconds_total", &FunctionMetrics::memory_byte_seconds}};
  const auto field = kFields.find(name);
  return field == kFields.end() ? nullptr : &(of.*field->second);
}

std::string Memory(double bytes) {
  constexpr double kMegabyte = 1e6;
  return absl::StrFormat("%.1f MB", bytes / kMegabyte);
}

std::string Wait(double seconds) {
  constexpr double kMilliseconds = 1e3;
  return absl::StrFormat("%.1f ms", seconds * kMilliseconds);
}

// Lines that the terminal has room for; 0: it is none, or does not say.
std::size_t TerminalLines() {
  winsize size{};
  if (::isatty(STDOUT_FILENO) != 1 || ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_row;
}

}  // namespace

void TopSample::Take(const std::string& process, std::string_view metrics) {
  std::map<std::string, FunctionMetrics>& of = processes[process];
  ReadMetrics(metrics, [&](std::string_view name, const MetricLabels& labels, double value) {
    const auto function = labels.find("function");
    if (function == labels.end()) return;
    FunctionMetrics ignored;
    if (FieldOf(ignored, name, labels) == nullptr) return;
    *FieldOf(of[function->second], name, labels) += value;  // a function's triggers have a series each
    functions.insert(function->second);
  });
}

std::vector<TopRow> TopRows(const TopSample& before, const TopSample& now) {
  const double seconds = std::max(1e-3, std::chrono::duration<double>(now.at - before.at).count());
  std::map<std::string, TopRow> rows;
  for (const std::string& function : now.functions) rows[function].function = function;
  for (const auto& [process, functions] : now.processes) {
    const auto earlier = before.processes.find(process);
    for (const auto& [function, has] : functions) {
      FunctionMetrics had;
      if (earlier != before.processes.end()) {
        const auto found = earlier->second.find(function);
        if (found != earlier->second.end()) had = found->second;
      }
      TopRow& row = rows[function];
      row.now.desired += has.desired;
      row.now.ready += has.ready;
      row.now.in_flight += has.in_flight;
      row.now.held += has.held;
      row.now.accepted += Grown(had.accepted, has.accepted);
      row.now.wait_seconds += Grown(had.wait_seconds, has.wait_seconds);
      row.now.cpu_seconds += Grown(had.cpu_seconds, has.cpu_seconds);
      row.now.memory_byte_seconds += Grown(had.memory_byte_seconds, has.memory_byte_seconds);
    }
  }
  std::vector<TopRow> sorted;
  sorted.reserve(rows.size());
  for (auto& [function, row] : rows) {
    row.per_second = row.now.accepted / seconds;
    if (row.now.accepted > 0) row.wait_seconds = row.now.wait_seconds / row.now.accepted;
    row.cpus = row.now.cpu_seconds / seconds;
    row.memory_bytes = row.now.memory_byte_seconds / seconds;
    sorted.push_back(std::move(row));
  }
  std::stable_sort(sorted.begin(), sorted.end(), [](const TopRow& a, const TopRow& b) {
    return std::pair(a.per_second, a.now.ready) > std::pair(b.per_second, b.now.ready);
  });
  return sorted;
}

std::string TopTable(const std::vector<TopRow>& rows, const std::string& space) {
  std::vector<std::vector<std::string>> table = {
      {"NAME", "READY", "DESIRED", "RUNNING", "WAITING", "PER SECOND", "WAIT", "CPUS", "MEMORY"}};
  const std::string prefix = space + "/";
  for (const TopRow& row : rows) {
    const bool here = !space.empty() && row.function.starts_with(prefix);
    table.push_back({here ? row.function.substr(prefix.size()) : row.function,
                     absl::StrFormat("%.0f", row.now.ready), absl::StrFormat("%.0f", row.now.desired),
                     absl::StrFormat("%.0f", row.now.in_flight), absl::StrFormat("%.0f", row.now.held),
                     absl::StrFormat("%.1f", row.per_second), Wait(row.wait_seconds),
                     absl::StrFormat("%.2f", row.cpus), Memory(row.memory_bytes)});
  }
  return AlignedRight(table, 1);
}

void AddTopOptions(CLI::App& command, TopOptions& options) {
  command.add_option("--interval", options.seconds, "Seconds between two looks, over which rates are")
      ->check(CLI::Range(0.1, 3600.0))
      ->type_name("SECONDS")
      ->capture_default_str();
  command.add_option("--count", options.count, "End after so many tables; 0: go on until Ctrl-C")
      ->check(CLI::Range(0, 1'000'000))
      ->type_name("N")
      ->capture_default_str();
}

absl::Status ShowTop(const std::function<absl::StatusOr<TopSample>()>& look, const TopOptions& options) {
  absl::StatusOr<TopSample> before = look();
  for (int shown = 0; options.count == 0 || shown < options.count; ++shown) {
    // Rates are over this time; Ctrl-C ends the program.
    std::this_thread::sleep_for(std::chrono::duration<double>(options.seconds));
    if (!before.ok()) return before.status();
    absl::StatusOr<TopSample> now = look();
    if (!now.ok()) return now.status();
    std::vector<TopRow> rows = TopRows(*before, *now);
    const std::size_t lines = TerminalLines();
    if (lines > 2 && rows.size() > lines - 2) rows.resize(lines - 2);
    if (lines > 0) {
      std::fputs("\x1b[H\x1b[2J", stdout);
    } else if (shown > 0) {
      std::fputc('\n', stdout);
    }
    std::fputs(TopTable(rows, options.space).c_str(), stdout);
    std::fflush(stdout);
    if (std::ferror(stdout) != 0) return absl::OkStatus();
    before = std::move(now);
  }
  return absl::OkStatus();
}

}  // namespace mayfly::cli
