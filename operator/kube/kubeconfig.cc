#include "operator/kube/kubeconfig.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "operator/api/yaml_document.h"
#include "operator/kube/file_text.h"

namespace mayfly::kube {
namespace {

using op::YamlEntry;
using op::YamlNode;

// One mapping of a kubeconfig and where it stands. What is read wrong is noted; the first mistake counts.
class Section {
 public:
  Section(const YamlNode* node, std::string file, std::string path, absl::Status& mistake)
      : node_(node), file_(std::move(file)), path_(std::move(path)), mistake_(&mistake) {
    if (node_ != nullptr && node_->kind == YamlNode::Kind::kNull) node_ = nullptr;
    if (node_ != nullptr && node_->kind != YamlNode::Kind::kMap) {
      Wrong("", "must be a mapping");
      node_ = nullptr;
    }
  }

  bool present() const { return node_ != nullptr; }

  const YamlNode* Find(std::string_view name) const {
    if (node_ == nullptr) return nullptr;
    const auto found = std::ranges::find_if(
        node_->entries, [name](const YamlEntry& entry) { return entry.key.scalar == name; });
    return found == node_->entries.end() || found->value.kind == YamlNode::Kind::kNull ? nullptr
                                                                                       : &found->value;
  }

  std::string Text(std::string_view name) const {
    const YamlNode* node = Find(name);
    if (node == nullptr) return "";
    if (node->kind == YamlNode::Kind::kScalar) return node->scalar;
    Wrong(name, "must be a text");
    return "";
  }

  bool Flag(std::string_view name) const {
    const std::string text = Text(name);
    if (text == "true") return true;
    if (!text.empty() && text != "false") Wrong(name, "must be true or false");
    return false;
  }

  // A path, taken from the folder of the file.
  std::string Path(std::string_view name) const {
    const std::string text = Text(name);
    if (text.empty() || text.front() == '/') return text;
    return (std::filesystem::path(file_).parent_path() / text).lexically_normal().string();
  }

  std::string Base64(std::string_view name) const {
    const std::string text = Text(name);
    std::string decoded;
    if (!text.empty() && !absl::Base64Unescape(text, &decoded)) Wrong(name, "is not base64");
    return decoded;
  }

  // NAME-data, or the file that NAME names.
  PemSource Pem(const std::string& name) const {
    PemSource source;
    source.data = Base64(name + "-data");
    if (source.data.empty()) source.file = Path(name);
    return source;
  }

  std::vector<std::string> Texts(std::string_view name) const {
    std::vector<std::string> texts;
    for (const YamlNode& item : Items(name)) {
      if (item.kind != YamlNode::Kind::kScalar) {
        Wrong(name, "must be a list of texts");
        break;
      }
      texts.push_back(item.scalar);
    }
    return texts;
  }

  const std::vector<YamlNode>& Items(std::string_view name) const {
    static const std::vector<YamlNode> none;
    const YamlNode* node = Find(name);
    if (node == nullptr) return none;
    if (node->kind == YamlNode::Kind::kSequence) return node->items;
    Wrong(name, "must be a list");
    return none;
  }

  Section Child(std::string_view name) const { return {Find(name), file_, PathOf(name), *mistake_}; }
  Section Item(const YamlNode& item, const std::string& path) const {
    return {&item, file_, path, *mistake_};
  }

  std::string PathOf(std::string_view name) const {
    if (name.empty()) return path_;
    return path_.empty() ? std::string(name) : path_ + "." + std::string(name);
  }

  void Wrong(std::string_view name, std::string_view sentence) const {
    if (!mistake_->ok()) return;
    const std::string path = PathOf(name);
    *mistake_ = absl::InvalidArgumentError(
        absl::StrCat(file_, ": ", path, path.empty() ? "" : ": ", std::string(sentence)));
  }

  const std::string& file() const { return file_; }

 private:
  const YamlNode* node_;
  std::string file_;
  std::string path_;
  absl::Status* mistake_;
};

struct Document {
  std::string file;
  YamlNode root;
};

// Finds the item `name` of clusters, users or contexts in the first document that has it, and in it the
// mapping `field`.
std::optional<Section> FindNamed(const std::vector<Document>& documents, const std::string& list,
                                 std::string_view field, const std::string& name, absl::Status& mistake) {
  for (const Document& document : documents) {
    const Section root(&document.root, document.file, "", mistake);
    for (const YamlNode& item : root.Items(list)) {
      const Section named = root.Item(item, list);
      if (named.Text("name") != name) continue;
      return root.Item(item, absl::StrCat(list, "[", name, "]")).Child(field);
    }
  }
  return std::nullopt;
}

bool IsLoopback(std::string_view server) {
  std::string_view host = server.substr(server.find("://") + 3);
  host = host.substr(0, host.find('/'));
  if (host.starts_with("[::1]")) return true;
  host = host.substr(0, host.rfind(':'));
  return host == "localhost" || host.starts_with("127.");
}

void ReadCluster(const Section& cluster, const KubeconfigOptions& options, Config& config) {
  config.server = cluster.Text("server");
  while (config.server.ends_with('/')) config.server.pop_back();
  config.authority = cluster.Pem("certificate-authority");
  config.tls_server_name = cluster.Text("tls-server-name");
  config.proxy_url = cluster.Text("proxy-url");
  config.insecure = cluster.Flag("insecure-skip-tls-verify");

  if (config.server.empty()) {
    cluster.Wrong("server", "is missing: it is the URL of the API server");
  } else if (std::ranges::any_of(config.server, [](unsigned char c) { return c <= ' ' || c == 0x7f; })) {
    cluster.Wrong("server", "must not hold blanks or control characters");
  } else if (config.server.starts_with("http://")) {
    if (!options.allow_insecure && !IsLoopback(config.server)) {
      cluster.Wrong("server",
                    "is http to another machine, where everyone on the way could read and change "
                    "everything; use https, or say that insecure connections are allowed");
    }
  } else if (!config.server.starts_with("https://")) {
    cluster.Wrong("server", "must begin with https://");
  }
  if (config.insecure && !options.allow_insecure) {
    cluster.Wrong(
        "insecure-skip-tls-verify",
        "is true, so that anyone on the way could pretend to be the server; give the server's CA as "
        "certificate-authority-data, or say that insecure connections are allowed");
  }
  if (config.insecure && !config.authority.empty()) {
    cluster.Wrong("insecure-skip-tls-verify", "contradicts certificate-authority: use one of them");
  }
}

ExecPlugin ReadExec(const Section& exec) {
  ExecPlugin plugin;
  plugin.api_version = exec.Text("apiVersion");
  plugin.command = exec.Text("command");
  plugin.arguments = exec.Texts("args");
  plugin.install_hint = exec.Text("installHint");
  plugin.provide_cluster_info = exec.Flag("provideClusterInfo");
  for (const YamlNode& item : exec.Items("env")) {
    const Section variable = exec.Item(item, exec.PathOf("env"));
    plugin.environment.emplace_back(variable.Text("name"), variable.Text("value"));
  }
  if (plugin.api_version != "client.authentication.k8s.io/v1" &&
      plugin.api_version != "client.authentication.k8s.io/v1beta1") {
    exec.Wrong("apiVersion", "must be client.authentication.k8s.io/v1");
  }
  if (plugin.command.empty()) exec.Wrong("command", "is missing: it is the program to run");
  if (exec.Text("interactiveMode") == "Always") {
    exec.Wrong("interactiveMode", "is Always, and there is no terminal here; use another user");
  }
  // A path with a slash is taken from the kubeconfig's folder, a bare name from PATH.
  if (plugin.command.find('/') != std::string::npos) plugin.command = exec.Path("command");
  return plugin;
}

void ReadUser(const Section& user, Config& config) {
  config.client_certificate = user.Pem("client-certificate");
  config.client_key = user.Pem("client-key");
  config.token = std::string(absl::StripAsciiWhitespace(user.Text("token")));
  config.token_file = user.Path("tokenFile");
  config.username = user.Text("username");
  config.password = user.Text("password");
  config.impersonate_user = user.Text("as");
  config.impersonate_uid = user.Text("as-uid");
  config.impersonate_groups = user.Texts("as-groups");

  if (config.client_certificate.empty() != config.client_key.empty()) {
    user.Wrong(config.client_key.empty() ? "client-key" : "client-certificate",
               "is missing: a certificate and its key belong together");
  }
  if (user.Find("auth-provider") != nullptr) {
    user.Wrong("auth-provider", "is not in Kubernetes any more; use the provider's exec plugin");
  }
  if (user.Find("as-user-extra") != nullptr) user.Wrong("as-user-extra", "is not supported");
  if (config.impersonate_user.empty() &&
      (!config.impersonate_uid.empty() || !config.impersonate_groups.empty())) {
    user.Wrong("as", "is missing: as-uid and as-groups need it");
  }
  if (const Section exec = user.Child("exec"); exec.present()) config.exec = ReadExec(exec);
}

absl::StatusOr<Config> Assemble(const std::vector<Document>& documents, const KubeconfigOptions& options) {
  absl::Status mistake;
  const std::string& first_file = documents.front().file;
  std::string context_name = options.context;
  for (const Document& document : documents) {
    const Section root(&document.root, document.file, "", mistake);
    if (context_name.empty()) context_name = root.Text("current-context");
  }
  if (!mistake.ok()) return mistake;
  if (context_name.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(first_file, ": current-context: is missing: name one of the contexts"));
  }

  Config config;
  config.origin = first_file;
  const auto context = FindNamed(documents, "contexts", "context", context_name, mistake);
  if (!mistake.ok()) return mistake;
  if (!context) {
    return absl::InvalidArgumentError(
        absl::StrCat(first_file, ": contexts: there is none named \"", absl::CEscape(context_name), "\""));
  }
  const std::string cluster_name = context->Text("cluster");
  const std::string user_name = context->Text("user");
  if (const std::string space = context->Text("namespace"); !space.empty()) config.space = space;

  const auto cluster = FindNamed(documents, "clusters", "cluster", cluster_name, mistake);
  if (!cluster)
    context->Wrong("cluster", absl::StrCat("names no cluster: \"", absl::CEscape(cluster_name), "\""));
  if (cluster) ReadCluster(*cluster, options, config);
  const auto user = FindNamed(documents, "users", "user", user_name, mistake);
  if (!user && !user_name.empty()) {
    context->Wrong("user", absl::StrCat("names no user: \"", absl::CEscape(user_name), "\""));
  }
  if (user) ReadUser(*user, config);
  if (!mistake.ok()) return mistake;
  return config;
}

}  // namespace

absl::StatusOr<Config> ParseKubeconfig(const std::vector<KubeconfigText>& texts,
                                       const KubeconfigOptions& options) {
  std::vector<Document> documents;
  for (const KubeconfigText& text : texts) {
    op::YamlDocuments yaml = op::ParseYaml(text.text);
    if (!yaml.error.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(text.file, ":", yaml.line, ":", yaml.column, ": ", yaml.error));
    }
    if (yaml.documents.size() > 1) {
      return absl::InvalidArgumentError(absl::StrCat(text.file, ": holds more than one document"));
    }
    documents.push_back({text.file, yaml.documents.empty() ? YamlNode() : std::move(yaml.documents.front())});
  }
  return Assemble(documents, options);
}

absl::StatusOr<Config> LoadKubeconfig(const std::vector<std::string>& files,
                                      const KubeconfigOptions& options) {
  std::vector<KubeconfigText> texts;
  for (const std::string& file : files) {
    absl::StatusOr<std::string> text = ReadFileText(file, op::kMaxManifestBytes);
    if (!text.ok()) return text.status();
    texts.push_back({file, *std::move(text)});
  }
  return ParseKubeconfig(texts, options);
}

}  // namespace mayfly::kube
