#include "cli/metrics_text.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"

namespace mayfly::cli {
namespace {

// `{a="b",c="d"}` at the beginning of `text`, which loses it. False if it is not that.
bool TakeLabels(std::string_view& text, MetricLabels& labels) {
  std::size_t at = 1;
  while (at < text.size() && text[at] != '}') {
    const std::size_t equals = text.find("=\"", at);
    if (equals == std::string_view::npos) return false;
    const std::string name(text.substr(at, equals - at));
    std::string value;
    for (at = equals + 2; at < text.size() && text[at] != '"'; ++at) {
      if (text[at] == '\\' && at + 1 < text.size()) {
        ++at;
        value += text[at] == 'n' ? '\n' : text[at];
      } else {
        value += text[at];
      }
    }
    if (at >= text.size()) return false;
    labels[name] = std::move(value);
    ++at;
    if (at < text.size() && text[at] == ',') ++at;
  }
  if (at >= text.size()) return false;
  text.remove_prefix(at + 1);
  return true;
}

}  // namespace

void ReadMetrics(std::string_view text,
                 const std::function<void(std::string_view, const MetricLabels&, double)>& each) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == '#') continue;
    const std::size_t name_end = std::min(line.find_first_of("{ "), line.size());
    const std::string_view name = line.substr(0, name_end);
    line.remove_prefix(name_end);
    MetricLabels labels;
    if (!line.empty() && line.front() == '{' && !TakeLabels(line, labels)) continue;
    const std::size_t begin = line.find_first_not_of(' ');
    if (begin == std::string_view::npos) continue;
    const std::string_view number = line.substr(begin, line.find(' ', begin) - begin);
    double value = 0;
    if (absl::SimpleAtod(absl::string_view(number.data(), number.size()), &value)) each(name, labels, value);
  }
}

}  // namespace mayfly::cli
