#include "operator/simulation/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace mayfly::op {
namespace {

constexpr double kWidth = 960, kLeft = 60, kRight = 20, kPanel = 180, kGap = 50, kTop = 30;
constexpr std::size_t kMostColumns = 430;

struct Scale {
  double seconds = 1;  // of the whole axis
  double most = 1;     // invocations at once
  double X(double at) const { return kLeft + at / seconds * (kWidth - kLeft - kRight); }
  static double Y(double top, double share) { return top + kPanel * (1 - share); }
};

// The highest value of each column of pixels, as a stepped line.
template <typename Value>
std::string Line(const std::vector<SimMoment>& moments, const Scale& scale, double top, const Value& value) {
  const std::size_t per_column = std::max<std::size_t>(1, moments.size() / kMostColumns);
  std::string points;
  for (std::size_t n = 0; n < moments.size(); n += per_column) {
    double highest = 0;
    for (std::size_t m = n; m < std::min(n + per_column, moments.size()); ++m)
      highest = std::max(highest, static_cast<double>(value(moments[m])));
    fmt::format_to(std::back_inserter(points), "{:.1f},{:.1f} ", scale.X(moments[n].at),
                   Scale::Y(top, highest / scale.most));
  }
  return points;
}

double RoundUp(double value) {
  const double power = std::pow(10, std::floor(std::log10(std::max(1.0, value))));
  for (const double step : {1.0, 2.0, 5.0, 10.0}) {
    if (value <= step * power) return step * power;
  }
  return value;
}

double Most(const SimResult& result, std::int32_t slots) {
  double most = 1;
  for (const SimMoment& moment : result.moments)
    most = std::max({most, static_cast<double>(moment.demand), static_cast<double>(moment.ready) * slots});
  return most;
}

// About five ticks, at round times.
double TickOf(double seconds) {
  for (const double tick :
       {10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1'800.0, 3'600.0, 6 * 3'600.0, 24 * 3'600.0}) {
    if (seconds / tick <= 7) return tick;
  }
  return 24 * 3'600.0;
}

std::string TimeLabel(double seconds) {
  if (seconds >= 2 * 3600) return fmt::format("{:g} h", std::round(seconds / 360) / 10);
  return seconds >= 120 ? fmt::format("{:g} min", std::round(seconds / 6) / 10)
                        : fmt::format("{:g} s", seconds);
}

void Text(std::string& svg, double x, double y, const char* anchor, const std::string& text) {
  fmt::format_to(std::back_inserter(svg), "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">", x, y,
                 anchor);
  for (const char c : text) {
    if (c == '<') {
      svg += "&lt;";
    } else if (c == '&') {
      svg += "&amp;";
    } else {
      svg += c;
    }
  }
  svg += "</text>\n";
}

}  // namespace

std::string DrawSvg(const Workload& workload, const std::vector<SimResult>& results, std::int32_t slots) {
  Scale scale;
  for (const SimResult& result : results) {
    if (!result.moments.empty()) scale.seconds = std::max(scale.seconds, result.moments.back().at);
  }
  const double height = kTop + static_cast<double>(results.size()) * (kPanel + kGap);
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
      kWidth, height);
  Text(svg, kLeft, 18, "start",
       fmt::format("{}: {} requests. Grey: invocations running or waiting; blue: slots of ready replicas; "
                   "red: waiting",
                   workload.name, workload.requests.size()));
  double top = kTop + 20;
  for (const SimResult& result : results) {
    // Each panel has its own height: one that lets thousands wait would flatten the others.
    scale.most = RoundUp(Most(result, slots));
    Text(svg, kLeft, top - 6, "start",
         fmt::format("{}: {:.0f} replica seconds, wait p50 {:.3f} s, p99 {:.3f} s, {} failed, {} flaps",
                     result.policy, result.replica_seconds, result.wait_p50, result.wait_p99, result.failed,
                     result.flaps));
    for (const double share : {0.0, 0.5, 1.0}) {
      const double y = Scale::Y(top, share);
      fmt::format_to(std::back_inserter(svg), "<path d=\"M{} {:.1f}H{}\" stroke=\"#ddd\"/>\n", kLeft, y,
                     kWidth - kRight);
      Text(svg, kLeft - 6, y + 4, "end", fmt::format("{:g}", scale.most * share));
    }
    for (double at = 0; at <= scale.seconds; at += TickOf(scale.seconds))
      Text(svg, scale.X(at), top + kPanel + 15, "middle", TimeLabel(at));
    const std::string demand = Line(result.moments, scale, top, [](const SimMoment& m) { return m.demand; });
    fmt::format_to(std::back_inserter(svg),
                   "<polygon fill=\"#bbb\" points=\"{:.1f},{:.1f} {}{:.1f},{:.1f}\"/>\n", scale.X(0),
                   top + kPanel, demand, scale.X(result.moments.empty() ? 0 : result.moments.back().at),
                   top + kPanel);
    fmt::format_to(std::back_inserter(svg), "<polyline fill=\"none\" stroke=\"#c22\" points=\"{}\"/>\n",
                   Line(result.moments, scale, top, [](const SimMoment& m) { return m.held; }));
    fmt::format_to(std::back_inserter(svg),
                   "<polyline fill=\"none\" stroke=\"#25b\" stroke-width=\"1.5\" points=\"{}\"/>\n",
                   Line(result.moments, scale, top, [&](const SimMoment& m) { return m.ready * slots; }));
    top += kPanel + kGap;
  }
  svg += "</svg>\n";
  return svg;
}

}  // namespace mayfly::op
