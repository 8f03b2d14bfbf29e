#include "operator/simulation/workload.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <random>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace mayfly::op {
namespace {

using Random = std::mt19937_64;

struct Row {
  SimSeconds at = 0;
  std::uint64_t requests = 0;
  SimSeconds seconds = 0;
};

bool IsWords(const std::vector<std::string>& cells) {
  double number = 0;
  return std::none_of(cells.begin(), cells.end(),
                      [&](const std::string& cell) { return absl::SimpleAtod(cell, &number); });
}

absl::StatusOr<Row> ParseRow(const std::vector<std::string>& cells, SimSeconds default_seconds) {
  if (cells.size() < 2 || cells.size() > 3) {
    return absl::InvalidArgumentError(absl::StrCat(
        "has ", cells.size(), " fields; write seconds,requests or seconds,requests,milliseconds"));
  }
  Row row{.seconds = default_seconds};
  if (!absl::SimpleAtod(cells[0], &row.at) || !(row.at >= 0 && row.at <= kLongestSim)) {
    return absl::InvalidArgumentError(absl::StrCat("\"", cells[0],
                                                   "\" is not a time; give seconds from 0 to ",
                                                   static_cast<int>(kLongestSim), " (a week)"));
  }
  if (!absl::SimpleAtoi(cells[1], &row.requests) || row.requests > kMostSimRequests) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", cells[1], "\" is not a number of requests; give 0 to ", kMostSimRequests));
  }
  double milliseconds = 0;
  if (cells.size() == 3) {
    if (!absl::SimpleAtod(cells[2], &milliseconds) || !(milliseconds > 0 && milliseconds <= 3.6e6)) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", cells[2],
                       "\" is not a duration; give milliseconds, more than 0 and at most 3600000 (an hour)"));
    }
    row.seconds = milliseconds / 1e3;
  }
  return row;
}

// Requests at random instants with the mean rate `rate(t)` per second.
template <typename Rate>
void Arrive(SimSeconds from, SimSeconds until, double most, const Rate& rate, SimSeconds seconds,
            Random& random, std::vector<SimRequest>& into) {
  if (most <= 0) return;
  std::exponential_distribution<double> gap(most);
  std::uniform_real_distribution<double> chance(0, most);
  // Thinning: candidates at the highest rate, of which the share of the rate at their time is taken.
  for (SimSeconds at = from + gap(random); at < until && into.size() < kMostSimRequests; at += gap(random)) {
    if (chance(random) < rate(at)) into.push_back({at, static_cast<float>(seconds)});
  }
}

struct Shape {
  const char* name;
  SimSeconds length;
  double most;  // at once
  double (*at_once)(SimSeconds at);
};

constexpr Shape kShapes[] = {
    {"step", 900, 50, [](SimSeconds at) { return at >= 60 && at < 600 ? 50.0 : 0.0; }},
    {"ramp", 1200, 100, [](SimSeconds at) { return 100 * std::max(0.0, 1 - std::abs(at - 500) / 500); }},
    {"diurnal", 3600, 40, [](SimSeconds at) { return 21 - 19 * std::cos(2 * std::numbers::pi * at / 3600); }},
    {"burst", 900, 200,
     [](SimSeconds at) { return (at >= 200 && at < 220) || (at >= 500 && at < 520) ? 200.0 : 2.0; }},
    {"onoff", 1200, 20, [](SimSeconds at) { return std::fmod(at, 120) < 30 ? 20.0 : 0.0; }},
};

Workload MakeAzure(std::uint64_t seed) {
  constexpr SimSeconds kDay = 24 * 3600.0;
  // The two published shares, 0.45 at 24 a day and 0.81 at 1440, are those of this log-normal distribution.
  constexpr double kMu = 3.691, kSigma = 4.080;
  Random random(seed);
  std::lognormal_distribution<double> per_day(kMu, kSigma);
  std::lognormal_distribution<double> duration(-0.38, 2.36);
  double daily = 0, seconds = 0;
  // One that some replicas can serve, and that a day says something about.
  while (daily < 10 || daily > 1e6 || seconds < 0.001 || seconds > 600 || daily / kDay * seconds > 100) {
    daily = per_day(random);
    seconds = duration(random);
  }
  Workload workload{.name = "azure", .requests = {}, .length = kDay};
  Arrive(0, kDay, daily / kDay, [&](SimSeconds) { return daily / kDay; }, seconds, random, workload.requests);
  return workload;
}

}  // namespace

absl::StatusOr<Workload> ReadTrace(std::istream& csv, std::string name, SimSeconds default_seconds,
                                   std::uint64_t seed) {
  std::vector<Row> rows;
  std::uint64_t sum = 0;
  std::string line;
  bool first = true;
  for (int number = 1; std::getline(csv, line); ++number) {
    const absl::string_view text = absl::StripAsciiWhitespace(line);
    if (text.empty() || text.front() == '#') continue;
    std::vector<std::string> cells = absl::StrSplit(text, ',');
    for (std::string& cell : cells) absl::StripAsciiWhitespace(&cell);
    if (std::exchange(first, false) && IsWords(cells)) continue;
    absl::StatusOr<Row> row = ParseRow(cells, default_seconds);
    if (row.ok() && !rows.empty() && row->at <= rows.back().at) {
      row = absl::InvalidArgumentError("is not later than the row before it; sort the rows by their time");
    }
    if (row.ok() && (sum += row->requests) > kMostSimRequests) {
      row = absl::InvalidArgumentError(absl::StrCat("makes more than ", kMostSimRequests,
                                                    " requests in all; simulate a part of the trace"));
    }
    if (!row.ok()) return base::WithContext(row.status(), absl::StrCat(name, ":", number));
    rows.push_back(*row);
  }
  if (rows.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": has no rows; write lines such as 0,120 for 120 requests from second 0 on"));
  }
  Random random(seed);
  Workload workload{.name = std::move(name), .requests = {}, .length = 0};
  workload.requests.reserve(sum);
  for (std::size_t n = 0; n < rows.size(); ++n) {
    const Row& row = rows[n];
    const SimSeconds last = rows.size() == 1 ? 60 : row.at - rows[n == 0 ? 0 : n - 1].at;
    const SimSeconds until = n + 1 < rows.size() ? rows[n + 1].at : row.at + last;
    std::uniform_real_distribution<double> when(row.at, until);
    for (std::uint64_t of_row = 0; of_row < row.requests; ++of_row)
      workload.requests.push_back({when(random), static_cast<float>(row.seconds)});
    workload.length = until;
  }
  std::sort(workload.requests.begin(), workload.requests.end(),
            [](const SimRequest& a, const SimRequest& b) { return a.at < b.at; });
  return workload;
}

std::vector<std::string> PatternNames() {
  std::vector<std::string> names;
  for (const Shape& shape : kShapes) names.emplace_back(shape.name);
  names.emplace_back("azure");
  return names;
}

absl::StatusOr<Workload> MakePattern(std::string_view name, SimSeconds seconds, std::uint64_t seed) {
  if (name == "azure") return MakeAzure(seed);
  for (const Shape& shape : kShapes) {
    if (name != shape.name) continue;
    Random random(seed);
    Workload workload{.name = shape.name, .requests = {}, .length = shape.length};
    // A concurrency of n is n ÷ seconds requests per second (Little's law).
    Arrive(
        0, shape.length, shape.most / seconds, [&](SimSeconds at) { return shape.at_once(at) / seconds; },
        seconds, random, workload.requests);
    if (workload.requests.size() >= kMostSimRequests) {
      return absl::InvalidArgumentError(absl::StrCat("\"", std::string(name), "\" with requests of ",
                                                     seconds * 1e3, " ms makes more than ", kMostSimRequests,
                                                     " of them; let a request run longer"));
    }
    return workload;
  }
  return absl::InvalidArgumentError(absl::StrCat("there is no pattern \"", std::string(name),
                                                 "\"; use one of ", absl::StrJoin(PatternNames(), ", ")));
}

}  // namespace mayfly::op
