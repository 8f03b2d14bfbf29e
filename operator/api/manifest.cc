#include "operator/api/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <map>
#include <system_error>

#include "base/status.h"
#include "operator/api/field_reader.h"
#include "operator/api/function_spec.h"
#include "operator/api/names.h"
#include "operator/api/secret_manifest.h"
#include "operator/api/yaml_document.h"

namespace mayfly::op {
namespace {

constexpr std::string_view kApiVersion = "mayfly.dev/v1alpha1";
constexpr std::size_t kMaxLabels = 256;
constexpr std::size_t kMaxMistakes = 100;

// A mapping of texts; `check_key` and `check_value` return "" for good ones.
std::map<std::string, std::string> ReadTexts(FieldReader& metadata, std::string_view name,
                                             MistakeList& mistakes, bool values_are_labels) {
  std::map<std::string, std::string> result;
  const YamlNode* node = metadata.Find(name);
  if (node == nullptr) return result;
  FieldReader reader(*node, metadata.PathOf(name), mistakes);
  if (node->entries.size() > kMaxLabels) {
    metadata.Wrong(name,
                   fmt::format("has {} entries; at most {} are allowed", node->entries.size(), kMaxLabels));
    return result;
  }
  for (const YamlEntry& entry : node->entries) {
    if (entry.key.kind != YamlNode::Kind::kScalar) continue;  // Finish() says so
    const std::string& key = entry.key.scalar;
    reader.Ignore(key);
    const std::string path = fmt::format("{}[{}]", reader.path(), Quote(key));
    std::string wrong = CheckLabelKey(key);
    if (!wrong.empty()) mistakes.Add(entry.key, path, wrong);
    std::string value;
    if (entry.value.kind != YamlNode::Kind::kNull && !ReadText(entry.value, path, mistakes, value)) continue;
    wrong = values_are_labels ? CheckLabelValue(value) : "";
    if (!wrong.empty()) mistakes.Add(entry.value, path, wrong);
    result.emplace(key, value);
  }
  reader.Finish();
  return result;
}

void ReadMetadata(const YamlNode& node, MistakeList& mistakes, Function& function) {
  FieldReader reader(node, "metadata", mistakes);
  if (reader.Text("name", function.name)) {
    const std::string wrong = CheckLabelName(function.name);
    if (!wrong.empty()) reader.Wrong("name", wrong);
  } else if (reader.is_map() && reader.Find("name") == nullptr) {
    reader.Wrong("name", "is missing; name the function, as in metadata: {name: thumbnail}");
  }
  if (reader.Text("namespace", function.space)) {
    const std::string wrong = CheckLabelName(function.space);
    if (!wrong.empty()) reader.Wrong("namespace", wrong);
  }
  function.labels = ReadTexts(reader, "labels", mistakes, true);
  ReadTexts(reader, "annotations", mistakes, false);
  // What `kubectl get -o yaml` adds.
  for (const std::string_view name :
       {"creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers", "generation",
        "managedFields", "ownerReferences", "resourceVersion", "selfLink", "uid"}) {
    reader.Ignore(name);
  }
  reader.Finish();
}

// Which kind of object this is; true if it is one of ours and worth reading on.
bool ReadKind(FieldReader& reader, ManifestDocument& document) {
  std::string api_version;
  std::string kind;
  const bool versioned = reader.Text("apiVersion", api_version);
  const bool kinded = reader.Text("kind", kind);
  if (reader.Find("apiVersion") == nullptr) {
    reader.Wrong("apiVersion", fmt::format("is missing; write apiVersion: {}", kApiVersion));
  }
  if (reader.Find("kind") == nullptr) reader.Wrong("kind", "is missing; write kind: Function");
  if (!versioned || !kinded) return kind == "Function" || api_version == kApiVersion;
  if (api_version != kApiVersion) {
    const bool ours = api_version.starts_with("mayfly.dev/") || kind == "Function";
    document.foreign = !ours;
    reader.Wrong("apiVersion",
                 ours ? fmt::format("{} is not served; write {}", Quote(api_version), kApiVersion)
                      : fmt::format("{} of {} is no object of Mayfly's; a Function has apiVersion: {}",
                                    FieldName(kind), Quote(api_version), kApiVersion));
    return ours && kind == "Function";
  }
  if (kind == "Function") return true;
  if (kind == "RuntimePool") {
    document.foreign = true;
    reader.Wrong(
        "kind",
        "RuntimePool is for clusters: one machine starts a replica in milliseconds, and keeps no pool");
  } else {
    const std::string nearest = NearestOf(kind, {"Function"});
    reader.Wrong("kind", fmt::format("{} is not a kind of {}; {}", Quote(kind), kApiVersion,
                                     nearest.empty() ? "write Function" : "did you mean \"Function\"?"));
  }
  return false;
}

bool IsText(const YamlNode* node, std::string_view text) {
  return node != nullptr && node->kind == YamlNode::Kind::kScalar && node->scalar == text;
}

// See ManifestDocument::doubtful.
bool IsDoubtful(FieldReader& reader) {
  const YamlNode* const api_version = reader.Find("apiVersion");
  const YamlNode* const kind = reader.Find("kind");
  if (api_version == nullptr || kind == nullptr) {
    const YamlNode* const spec = reader.Find("spec");
    if (spec == nullptr) return false;
    return std::any_of(spec->entries.begin(), spec->entries.end(),
                       [](const YamlEntry& entry) { return IsText(&entry.key, "artifact"); });
  }
  return (IsText(kind, "Function") || IsText(kind, "RuntimePool")) && !IsText(api_version, kApiVersion);
}

ManifestDocument ReadDocument(const YamlNode& node, const std::filesystem::path& file) {
  ManifestDocument document;
  MistakeList mistakes(file.string());
  FieldReader reader(node, "", mistakes);
  document.doubtful = reader.is_map() && IsDoubtful(reader);
  if (reader.is_map() && ReadKind(reader, document)) {
    Function function;
    if (const YamlNode* metadata = reader.Find("metadata")) {
      ReadMetadata(*metadata, mistakes, function);
      if (CheckLabelName(function.name).empty() && CheckLabelName(function.space).empty())
        document.key = function.Key();
    } else {
      reader.Wrong("metadata", "is missing; write metadata: {name: …}");
    }
    if (const YamlNode* spec = reader.Find("spec")) {
      function.spec = ReadFunctionSpec(*spec, std::filesystem::absolute(file).parent_path(), mistakes);
    } else {
      reader.Wrong("spec", "is missing; write spec: {artifact: {path: …}}");
    }
    reader.Ignore("status");
    reader.Finish();
    if (mistakes.empty()) document.function = std::move(function);
  }
  document.mistakes = mistakes.Take();
  return document;
}

// A function that a file describes twice is wrong where it comes again.
void RefuseDuplicates(Manifest& manifest, const std::vector<YamlNode>& nodes,
                      const std::filesystem::path& file) {
  std::map<std::string, int> lines;
  for (std::size_t n = 0; n < manifest.documents.size(); n++) {
    ManifestDocument& document = manifest.documents[n];
    if (document.key.empty()) continue;
    const auto [first, is_new] = lines.emplace(document.key, nodes[n].line);
    if (is_new) continue;
    document.function.reset();
    document.mistakes.push_back(
        {file.string(), nodes[n].line, nodes[n].column, "metadata.name",
         fmt::format("the function {} is already described in line {}; give each a name of its own",
                     Quote(document.key), first->second)});
  }
}

// Keeps about kMaxMistakes of the file's mistakes and counts the rest. Each document that names its function keeps one,
// and so does one of those that do not: to whom the file belongs must not depend on how much is wrong with it.
void BoundMistakes(Manifest& manifest) {
  std::size_t kept = 0;
  std::size_t left_out = 0;
  bool nameless = false;
  Mistake* last = nullptr;
  std::erase_if(manifest.documents, [&](ManifestDocument& document) {
    std::vector<Mistake>& mistakes = document.mistakes;
    if (mistakes.empty()) return false;
    const std::size_t room = kMaxMistakes - std::min(kept, kMaxMistakes);
    const bool needed = !document.key.empty() || !nameless;
    const std::size_t most = std::max<std::size_t>(room, needed ? 1 : 0);
    if (mistakes.size() > most) {
      left_out += mistakes.size() - most;
      mistakes.resize(most);
    }
    kept += mistakes.size();
    nameless = nameless || document.key.empty();
    return mistakes.empty();
  });
  if (left_out == 0) return;
  for (ManifestDocument& document : manifest.documents) {
    if (!document.mistakes.empty()) last = &document.mistakes.back();
  }
  last->sentence += fmt::format(" (and {} more mistakes in this file)", left_out);
}

}  // namespace

std::string Mistake::ToString() const {
  const std::string what = field.empty() ? sentence : field + ": " + sentence;
  return line == 0 ? what : fmt::format("{}:{}:{}: {}", file, line, column, what);
}

bool Manifest::ok() const {
  for (const ManifestDocument& document : documents) {
    if (!document.mistakes.empty()) return false;
  }
  return mistakes.empty();
}

std::vector<Mistake> Manifest::AllMistakes() const {
  std::vector<Mistake> all = mistakes;
  for (const ManifestDocument& document : documents) {
    all.insert(all.end(), document.mistakes.begin(), document.mistakes.end());
  }
  return all;
}

Manifest ParseManifest(std::string_view text, const std::filesystem::path& file) {
  Manifest manifest;
  YamlDocuments yaml = ParseYaml(text);
  if (!yaml.error.empty()) {
    manifest.mistakes.push_back({file.string(), yaml.line, yaml.column, "", yaml.error});
    return manifest;
  }
  std::erase_if(yaml.documents,
                [](const YamlNode& node) { return node.kind == YamlNode::Kind::kNull || IsSecret(node); });
  for (const YamlNode& node : yaml.documents) manifest.documents.push_back(ReadDocument(node, file));
  RefuseDuplicates(manifest, yaml.documents, file);
  BoundMistakes(manifest);
  return manifest;
}

Manifest ReadManifestFile(const std::filesystem::path& file) {
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  // One byte more than is allowed tells a larger file, whatever its size.
  std::string text(kMaxManifestBytes + 1, '\0');
  std::error_code ignored;
  if (stream && !std::filesystem::is_directory(file, ignored)) {
    stream.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(stream.gcount()));
    if (!stream.bad()) return ParseManifest(text, file);
  }
  const int error = errno == 0 ? EISDIR : errno;
  Manifest manifest;
  manifest.mistakes.push_back({file.string(), 1, 1, "",
                               fmt::format("cannot be read ({}); check the path and its permissions",
                                           std::generic_category().message(error))});
  return manifest;
}

absl::StatusOr<std::vector<Function>> ParseFunctions(std::string_view text,
                                                     const std::filesystem::path& file) {
  Manifest manifest = ParseManifest(text, file);
  const std::vector<Mistake> mistakes = manifest.AllMistakes();
  if (!mistakes.empty()) return absl::InvalidArgumentError(ToProblem(mistakes).message());
  std::vector<Function> functions;
  functions.reserve(manifest.documents.size());
  for (ManifestDocument& document : manifest.documents) functions.push_back(std::move(*document.function));
  return functions;
}

v1::Problem ToProblem(const std::vector<Mistake>& mistakes) {
  v1::Problem problem;
  problem.set_component("operator");
  problem.set_reason("InvalidManifest");
  for (const Mistake& mistake : mistakes) {
    if (!problem.message().empty()) problem.mutable_message()->push_back('\n');
    problem.mutable_message()->append(mistake.ToString());
  }
  return problem;
}

}  // namespace mayfly::op
