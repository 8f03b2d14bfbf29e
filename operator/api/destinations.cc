#include "operator/api/destinations.h"

#include <fmt/format.h>

#include <algorithm>

#include "operator/api/names.h"
#include "operator/api/spec_bounds.h"

namespace mayfly::op {
namespace {

// "https://HOST…" or "http://HOST…", of characters that a URL may have.
bool IsWebUrl(const std::string& url) {
  const std::size_t host = url.starts_with("https://") ? 8 : url.starts_with("http://") ? 7 : 0;
  return host > 0 && url.size() > host && url.size() <= kMaxUrlBytes && url[host] != '/' &&
         url[host] != '?' && url[host] != '#' &&
         std::all_of(url.begin(), url.end(), [](char c) { return c > ' ' && c < 127; });
}

Destination ReadDestination(FieldReader& parent, std::string_view name, MistakeList& mistakes) {
  Destination destination;
  const YamlNode* const node = parent.Find(name);
  if (node == nullptr) return destination;
  FieldReader reader(*node, parent.PathOf(name), mistakes);
  if (reader.Text("function", destination.function)) {
    const std::string wrong = CheckLabelName(destination.function);
    if (!wrong.empty()) reader.Wrong("function", wrong);
  }
  if (reader.Text("url", destination.url) && !IsWebUrl(destination.url)) {
    reader.Wrong("url", fmt::format("{} is not a URL that events can be posted to; write one like "
                                    "https://example.com/events",
                                    Quote(destination.url)));
  }
  if (reader.is_map() && reader.Find("function") == nullptr && reader.Find("url") == nullptr)
    reader.Wrong(
        "", "names nothing to send to; give a function of this namespace or a URL, as in {function: audit}");
  reader.Finish();
  return destination;
}

}  // namespace

Destinations ReadDestinations(const YamlNode& node, const std::string& path, MistakeList& mistakes) {
  FieldReader reader(node, path, mistakes);
  Destinations destinations;
  destinations.on_success = ReadDestination(reader, "onSuccess", mistakes);
  destinations.on_failure = ReadDestination(reader, "onFailure", mistakes);
  reader.Finish();
  return destinations;
}

}  // namespace mayfly::op
