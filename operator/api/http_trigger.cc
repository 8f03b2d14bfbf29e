#include "operator/api/http_trigger.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "operator/api/names.h"

namespace mayfly::op {
namespace {

constexpr std::array<std::string_view, 7> kMethods = {"DELETE", "GET",  "HEAD", "OPTIONS",
                                                      "PATCH",  "POST", "PUT"};

std::vector<std::string> ReadMethods(FieldReader& http, MistakeList& mistakes) {
  std::vector<std::string> methods;
  const std::vector<YamlNode>& items = http.List("methods", kMethods.size());
  for (std::size_t n = 0; n < items.size(); n++) {
    const std::string path = fmt::format("{}[{}]", http.PathOf("methods"), n);
    std::string method;
    if (!ReadText(items[n], path, mistakes, method)) continue;
    if (std::find(kMethods.begin(), kMethods.end(), method) == kMethods.end()) {
      const std::string nearest = NearestOf(method, {kMethods.begin(), kMethods.end()});
      mistakes.Add(items[n], path,
                   nearest.empty() ? fmt::format("{} is not a method that is served; use one of {}",
                                                 Quote(method), fmt::join(kMethods, ", "))
                                   : fmt::format("{} is not a method that is served; did you mean \"{}\"?",
                                                 Quote(method), nearest));
    } else if (std::find(methods.begin(), methods.end(), method) != methods.end()) {
      mistakes.Add(items[n], path, fmt::format("{} is listed twice; keep one", Quote(method)));
    } else {
      methods.push_back(method);
    }
  }
  return methods;
}

}  // namespace

HttpTrigger ReadRoute(FieldReader& reader, MistakeList& mistakes, const std::string& example) {
  HttpTrigger trigger;
  if (reader.Text("path", trigger.path)) {
    const std::string wrong = CheckRoutePath(trigger.path);
    if (!wrong.empty()) reader.Wrong("path", wrong);
  } else if (reader.is_map() && reader.Find("path") == nullptr) {
    reader.Wrong("path", fmt::format("is missing; give the path to serve, as in path: {}", example));
  }
  if (reader.Text("host", trigger.host)) {
    const std::string wrong = CheckHost(trigger.host);
    if (!wrong.empty()) reader.Wrong("host", wrong);
  }
  trigger.methods = ReadMethods(reader, mistakes);
  return trigger;
}

HttpTrigger ReadHttp(const YamlNode& node, const std::string& path, MistakeList& mistakes) {
  FieldReader http(node, path, mistakes);
  HttpTrigger trigger = ReadRoute(http, mistakes, "/thumbnails");
  http.Finish();
  return trigger;
}

}  // namespace mayfly::op
