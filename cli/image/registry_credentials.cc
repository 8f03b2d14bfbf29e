#include "cli/image/registry_credentials.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "cli/process.h"
#include "cli/terminal.h"

namespace mayfly::cli {
namespace {

using Json = nlohmann::json;

std::string Variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::vector<std::string> Files() {
  std::vector<std::string> files = {Variable("REGISTRY_AUTH_FILE")};
  const std::string docker = Variable("DOCKER_CONFIG");
  files.push_back((docker.empty() ? Variable("HOME") + "/.docker" : docker) + "/config.json");
  if (!Variable("XDG_RUNTIME_DIR").empty())
    files.push_back(Variable("XDG_RUNTIME_DIR") + "/containers/auth.json");
  return files;
}

std::string Text(const Json& object, const char* key) {
  return object.is_object() && object.contains(key) && object[key].is_string()
             ? object[key].get<std::string>()
             : "";
}

std::optional<RegistryCredentials> AskHelper(const std::string& name, const std::string& host) {
  if (name.empty() || name.find('/') != std::string::npos) return std::nullopt;
  std::string output;
  const absl::StatusOr<int> code =
      RunProgram({.command = {"sh", "-c",
                              absl::StrCat("printf %s ", ShellQuote(host), " | docker-credential-",
                                           ShellQuote(name), " get")},
                  .folder = "",
                  .output = [&output](std::string_view text) { output += text; },
                  .stop = {}});
  if (!code.ok() || *code != 0) return std::nullopt;
  const Json answer = Json::parse(output, nullptr, false);
  if (Text(answer, "Secret").empty()) return std::nullopt;
  return RegistryCredentials{Text(answer, "Username"), Text(answer, "Secret")};
}

std::optional<RegistryCredentials> Decode(const std::string& auth) {
  std::string plain;
  if (!absl::Base64Unescape(auth, &plain)) return std::nullopt;
  const std::size_t colon = plain.find(':');
  if (colon == std::string::npos) return std::nullopt;
  return RegistryCredentials{plain.substr(0, colon), plain.substr(colon + 1)};
}

}  // namespace

std::optional<RegistryCredentials> FindRegistryCredentials(const std::string& host) {
  // Docker Hub is known by the URL of an older protocol.
  const std::string key = host == "docker.io" ? "https://index.docker.io/v1/" : host;
  for (const std::string& path : Files()) {
    std::ifstream file(path);
    if (!file) continue;
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const Json config = Json::parse(text, nullptr, false);
    if (!config.is_object()) continue;
    if (config.contains("credHelpers"))
      if (auto found = AskHelper(Text(config["credHelpers"], host.c_str()), key)) return found;
    if (config.contains("auths") && config["auths"].is_object()) {
      for (const std::string& name : {key, "https://" + host}) {
        if (!config["auths"].contains(name)) continue;
        if (auto found = Decode(Text(config["auths"][name], "auth"))) return found;
      }
    }
    if (auto found = AskHelper(Text(config, "credsStore"), key)) return found;
  }
  return std::nullopt;
}

}  // namespace mayfly::cli
