#include "gateway/sources/credentials.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <utility>

#include "absl/strings/str_split.h"

namespace mayfly::gateway {
namespace {

using Pair = std::pair<std::string_view, std::string_view>;

constexpr std::array<Pair, 2> kTogether = {Pair{kUsername, kPassword}, Pair{kCertificate, kKey}};

bool IsOneLine(std::string_view key) {
  return key == kUsername || key == kPassword || key == kToken || key == kNkeySeed;
}

}  // namespace

absl::StatusOr<Credentials> Credentials::Of(const v1::EventTrigger& trigger,
                                            const std::vector<std::string_view>& taken) {
  Credentials credentials;
  if (trigger.secret_name().empty()) return credentials;
  for (const std::string_view key : taken) {
    const auto found = trigger.secret().find(std::string(key));
    if (found == trigger.secret().end() || found->second.empty()) continue;
    std::string value = found->second;
    if (IsOneLine(key)) {
      while (!value.empty() && (value.back() == '\n' || value.back() == '\r')) value.pop_back();
    }
    credentials.values_.emplace(key, std::move(value));
  }
  if (credentials.values_.empty()) {
    return absl::InvalidArgumentError(
        fmt::format("Secret {} has none of the keys {}: put the credentials under one", trigger.secret_name(),
                    fmt::join(taken, ", ")));
  }
  for (const auto& [one, other] : kTogether) {
    if (credentials.Has(one) == credentials.Has(other)) continue;
    return absl::InvalidArgumentError(fmt::format("Secret {} has no key {}, which belongs to its {}",
                                                  trigger.secret_name(), credentials.Has(one) ? other : one,
                                                  credentials.Has(one) ? one : other));
  }
  return credentials;
}

const std::string& Credentials::Get(std::string_view key) const {
  static const auto* const none = new std::string();
  const auto found = values_.find(key);
  return found == values_.end() ? *none : found->second;
}

std::vector<std::string> Credentials::Lines(std::string_view key) const {
  const std::vector<std::string> lines = absl::StrSplit(Get(key), absl::ByAnyChar("\r\n"), absl::SkipEmpty());
  return lines;
}

}  // namespace mayfly::gateway
