#include "cli/try_it.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "cli/terminal.h"
#include "operator/api/triggers.h"

namespace mayfly::cli {
namespace {

namespace fs = std::filesystem;

std::optional<op::HttpTrigger> FirstHttp(const FunctionView& view) {
  if (!view.object.function) return std::nullopt;
  for (const op::Trigger& trigger : op::EffectiveHttpTriggers(*view.object.function)) {
    // What a webhook takes is signed by its service.
    if (trigger.http && !trigger.event) return trigger.http;
  }
  return std::nullopt;
}

// `path` as a shell finds it from here: relative where that is shorter.
std::string FromHere(const fs::path& path) {
  std::error_code error;
  const std::string absolute = path.string();
  const std::string relative = fs::relative(path, error).string();
  return !error && !relative.empty() && relative.size() < absolute.size() ? relative : absolute;
}

// The line that the manifest's first comment gives, for the address that the manifests' examples use, with the files that it
// sends where they are; "" if it gives none.
std::string CommentedLine(const FunctionView& view, const std::string& gateway_url) {
  constexpr std::size_t kLongest = 1'000;
  for (const std::string& manifest : view.manifests) {
    std::ifstream file(manifest);
    std::string line;
    if (!std::getline(file, line) || !absl::StartsWith(line, "# curl ") || line.size() > kLongest) continue;
    line = absl::StrReplaceAll(line.substr(2), {{"http://127.0.0.1:8080", gateway_url}});
    for (std::size_t at = line.find(" @"); at != std::string::npos; at = line.find(" @", at + 1)) {
      const std::size_t begin = at + 2;
      const std::size_t size = std::min(line.find(' ', begin), line.size()) - begin;
      std::error_code error;
      const fs::path sent = fs::path(manifest).parent_path() / line.substr(begin, size);
      if (fs::exists(sent, error)) line.replace(begin, size, FromHere(sent));
    }
    return line;
  }
  return "";
}

struct SampleType {
  const char* extension;
  const char* content_type;
};
constexpr SampleType kSampleTypes[] = {{".json", "application/json"},
                                       {".jpg", "image/jpeg"},
                                       {".png", "image/png"},
                                       {".webp", "image/webp"},
                                       {".csv", "text/csv"},
                                       {".txt", "text/plain"},
                                       {".bin", "application/octet-stream"}};

struct Sample {
  std::string path;  // "" if there is none
  std::string extension;
  std::string content_type;
};

// The file sample.* that lies beside a manifest.
Sample FindSample(const FunctionView& view) {
  for (const std::string& manifest : view.manifests) {
    for (const SampleType& type : kSampleTypes) {
      std::error_code error;
      const fs::path path = fs::path(manifest).parent_path() / absl::StrCat("sample", type.extension);
      if (fs::is_regular_file(path, error)) return {FromHere(path), type.extension, type.content_type};
    }
  }
  return {};
}

}  // namespace

std::string FillParameters(const std::string& path) {
  std::string filled;
  for (std::size_t at = 0; at < path.size();) {
    if (path[at] != '{') {
      filled += path[at++];
      continue;
    }
    const std::size_t end = path.find('}', at);
    if (end == std::string::npos) break;
    filled += absl::EndsWith(path.substr(at, end - at), "...") ? "a/b" : "1";
    at = end + 1;
  }
  return filled;
}

std::string UrlOf(const FunctionView& view, const std::string& gateway_url) {
  if (!view.object.function) return "";  // nothing answers yet
  const std::optional<op::HttpTrigger> http = FirstHttp(view);
  // A browser would send this machine's host, which the trigger does not take.
  if (!http || !http->host.empty()) return absl::StrCat(gateway_url, "/_mayfly/functions/", view.key);
  return absl::StrCat(gateway_url, FillParameters(http->path));
}

std::string CurlLine(const FunctionView& view, const std::string& gateway_url) {
  if (!view.object.function) return "";
  if (std::string line = CommentedLine(view, gateway_url); !line.empty()) return line;
  const std::optional<op::HttpTrigger> http = FirstHttp(view);
  const std::string url =
      http ? absl::StrCat(gateway_url, FillParameters(http->path)) : UrlOf(view, gateway_url);
  std::string line = "curl";
  if (http && !http->host.empty()) {
    std::string host = http->host;
    if (absl::StartsWith(host, "*")) host.replace(0, 1, "www");
    absl::StrAppend(&line, " -H ", ShellQuote(absl::StrCat("Host: ", host)));
  }
  const auto allows = [&http](const char* method) {
    return !http || http->methods.empty() ||
           std::find(http->methods.begin(), http->methods.end(), method) != http->methods.end();
  };
  const Sample sample = FindSample(view);
  if (!sample.path.empty() && (allows("POST") || allows("PUT"))) {
    if (!allows("POST")) absl::StrAppend(&line, " -X PUT");
    absl::StrAppend(&line, " --data-binary ", ShellQuote(absl::StrCat("@", sample.path)), " -H ",
                    ShellQuote(absl::StrCat("Content-Type: ", sample.content_type)));
    // A picture on a terminal helps nobody.
    if (absl::StartsWith(sample.content_type, "image/")) absl::StrAppend(&line, " -o out", sample.extension);
  } else if (allows("GET")) {
    // curl's own default.
  } else if (allows("POST")) {
    absl::StrAppend(&line, " -d hello");
  } else {
    absl::StrAppend(&line, " -X ", http->methods.front());
    if (http->methods.front() != "HEAD" && http->methods.front() != "DELETE")
      absl::StrAppend(&line, " -d hello");
  }
  return absl::StrCat(line, " ", ShellQuote(url));
}

}  // namespace mayfly::cli
