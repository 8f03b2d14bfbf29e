#include "runtime/artifacts/fetch_order.h"

#include <charconv>
#include <iterator>
#include <vector>

namespace mayfly::runtime {
namespace {

constexpr std::size_t kFixedFields = 11;
constexpr std::size_t kLoginFields = 4;

void Append(std::string& text, std::string_view field) {
  text += field;
  text += '\0';
}

bool ReadNumber(std::string_view text, std::uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

const char* const kFetchVariables[] = {"AWS_ACCESS_KEY_ID",
                                       "AWS_SECRET_ACCESS_KEY",
                                       "AWS_SESSION_TOKEN",
                                       "AWS_REGION",
                                       "AWS_DEFAULT_REGION",
                                       "AWS_ENDPOINT_URL",
                                       "AWS_ENDPOINT_URL_S3",
                                       "HTTPS_PROXY",
                                       "http_proxy",
                                       "https_proxy",
                                       "NO_PROXY",
                                       "no_proxy",
                                       "SSL_CERT_FILE"};
const std::size_t kFetchVariableCount = std::size(kFetchVariables);

std::string Encode(const FetchOrder& order) {
  std::string text;
  const ImageSource& image = order.source.image;
  Append(text, order.source.url);
  Append(text, order.sha256);
  Append(text, order.folder);
  Append(text, std::to_string(order.cache_bytes));
  Append(text, std::to_string(order.most_bytes));
  Append(text, order.credentials_folder);
  Append(text, std::to_string(order.timeout.count()));
  Append(text, image.reference);
  Append(text, image.ca_certificates);
  Append(text, image.plain_http ? "1" : "0");
  Append(text, std::to_string(image.logins.size()));
  for (const RegistryLogin& login : image.logins) {
    Append(text, login.username);
    Append(text, login.password);
    Append(text, login.identity_token);
    Append(text, login.registry_token);
  }
  for (const auto& [name, value] : order.settings) {
    Append(text, name);
    Append(text, value);
  }
  return text;
}

std::optional<FetchOrder> DecodeFetchOrder(std::string_view text) {
  std::vector<std::string> fields;
  while (!text.empty()) {
    const std::size_t end = text.find('\0');
    if (end == std::string_view::npos) return std::nullopt;
    fields.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  if (fields.size() < kFixedFields) return std::nullopt;
  FetchOrder order;
  ImageSource& image = order.source.image;
  order.source.url = fields[0];
  order.sha256 = fields[1];
  order.folder = fields[2];
  order.credentials_folder = fields[5];
  image.reference = fields[7];
  image.ca_certificates = fields[8];
  image.plain_http = fields[9] == "1";
  std::uint64_t timeout = 0;
  std::uint64_t logins = 0;
  if (!ReadNumber(fields[3], order.cache_bytes) || !ReadNumber(fields[4], order.most_bytes) ||
      !ReadNumber(fields[6], timeout) || !ReadNumber(fields[10], logins)) {
    return std::nullopt;
  }
  order.timeout = std::chrono::milliseconds(timeout);
  std::size_t next = kFixedFields;
  if (logins > (fields.size() - next) / kLoginFields) return std::nullopt;
  for (; logins > 0; --logins, next += kLoginFields)
    image.logins.push_back({fields[next], fields[next + 1], fields[next + 2], fields[next + 3]});
  if ((fields.size() - next) % 2 != 0) return std::nullopt;
  for (; next < fields.size(); next += 2) order.settings[fields[next]] = fields[next + 1];
  return order;
}

std::string ModuleSource::Shown() const {
  return image.reference.empty() ? ShownUrl(url) : "the image " + image.reference;
}

std::string ShownUrl(std::string_view url) {
  const std::size_t query = url.find_first_of("?#");
  std::string shown(url.substr(0, query));
  const std::size_t scheme = shown.find("://");
  if (scheme == std::string::npos) return shown;
  const std::size_t begin = scheme + 3;
  const std::size_t slash = shown.find('/', begin);
  const std::size_t at = shown.rfind('@', slash == std::string::npos ? slash : slash - 1);
  if (at != std::string::npos && at >= begin) shown.erase(begin, at + 1 - begin);
  return shown;
}

}  // namespace mayfly::runtime
