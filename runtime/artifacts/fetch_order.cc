#include "runtime/artifacts/fetch_order.h"

#include <charconv>
#include <iterator>
#include <vector>

namespace mayfly::runtime {
namespace {

constexpr std::size_t kFixedFields = 7;

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
  Append(text, order.url);
  Append(text, order.sha256);
  Append(text, order.folder);
  Append(text, std::to_string(order.cache_bytes));
  Append(text, std::to_string(order.most_bytes));
  Append(text, order.credentials_folder);
  Append(text, std::to_string(order.timeout.count()));
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
  if (fields.size() < kFixedFields || (fields.size() - kFixedFields) % 2 != 0) return std::nullopt;
  FetchOrder order;
  order.url = fields[0];
  order.sha256 = fields[1];
  order.folder = fields[2];
  order.credentials_folder = fields[5];
  std::uint64_t timeout = 0;
  if (!ReadNumber(fields[3], order.cache_bytes) || !ReadNumber(fields[4], order.most_bytes) ||
      !ReadNumber(fields[6], timeout)) {
    return std::nullopt;
  }
  order.timeout = std::chrono::milliseconds(timeout);
  for (std::size_t i = kFixedFields; i < fields.size(); i += 2) order.settings[fields[i]] = fields[i + 1];
  return order;
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
