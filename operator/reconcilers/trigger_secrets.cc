#include "operator/reconcilers/trigger_secrets.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace mayfly::op {
namespace {

using namespace std::chrono_literals;

constexpr auto kRefresh = 60s;
constexpr auto kSoon = 5s;

// Whether only people can mend it.
bool IsFinal(const absl::Status& status) {
  return absl::IsNotFound(status) || absl::IsPermissionDenied(status) || absl::IsInvalidArgument(status);
}

}  // namespace

base::MonotonicTime TriggerSecrets::DueAt(const Entry& entry) {
  return entry.read_at + (entry.troubled || !entry.data ? kSoon : kRefresh);
}

std::vector<std::string> TriggerSecrets::Due(const std::set<std::string>& wanted,
                                             const std::set<std::string>& troubled, std::uint64_t version,
                                             base::MonotonicTime now) {
  std::erase_if(entries_, [&](const auto& entry) { return !wanted.contains(entry.first); });
  std::vector<std::string> due;
  for (const std::string& name : wanted) {
    Entry& entry = entries_[name];
    entry.troubled = troubled.contains(name);
    if (entry.reading || (entry.read && entry.version == version && now < DueAt(entry))) continue;
    entry.reading = true;
    entry.version = version;
    due.push_back(name);
  }
  return due;
}

void TriggerSecrets::Take(const std::string& name, absl::StatusOr<SecretData> read, base::MonotonicTime now) {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  entry.reading = false;
  entry.read = true;
  std::size_t bytes = 0;
  if (read.ok()) {
    for (const auto& [key, value] : *read) bytes += key.size() + value.size();
  }
  if (bytes > kMostSecretBytes) {
    read = absl::InvalidArgumentError(
        fmt::format("Secret {} has {} bytes; one with a trigger's credentials may have at most {}", name,
                    bytes, kMostSecretBytes));
  }
  if (read.ok()) {
    entry.data = *read;
    entry.problem.clear();
  } else if (IsFinal(read.status())) {
    entry.data.reset();
    entry.problem = std::string(read.status().message());
  } else if (!entry.data) {
    entry.problem =
        fmt::format("Secret {} could not be read yet: {}", name, std::string(read.status().message()));
  }
  entry.known = entry.known || read.ok() || IsFinal(read.status());
  entry.read_at = now;
}

void TriggerSecrets::NotReading(const std::string& name) {
  const auto found = entries_.find(name);
  if (found != entries_.end()) found->second.reading = false;
}

std::optional<base::MonotonicTime> TriggerSecrets::NextDue() const {
  std::optional<base::MonotonicTime> next;
  for (const auto& [name, entry] : entries_) {
    if (!entry.reading && (!next || DueAt(entry) < *next)) next = DueAt(entry);
  }
  return next;
}

bool TriggerSecrets::Pending() const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [](const auto& entry) { return entry.second.reading && !entry.second.read; });
}

bool TriggerSecrets::Known() const {
  return std::all_of(entries_.begin(), entries_.end(), [](const auto& entry) { return entry.second.known; });
}

std::string TriggerSecrets::Fill(v1::EventTrigger* trigger) const {
  trigger->clear_secret();
  if (trigger->secret_name().empty()) return "";
  const auto found = entries_.find(trigger->secret_name());
  if (found == entries_.end() || !found->second.read) {
    return fmt::format("Secret {} is being read", trigger->secret_name());
  }
  const Entry& entry = found->second;
  if (!entry.data) return entry.problem;
  for (const auto& [key, value] : *entry.data) (*trigger->mutable_secret())[key] = value;
  return "";
}

}  // namespace mayfly::op
