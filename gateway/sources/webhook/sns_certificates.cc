#include "gateway/sources/webhook/sns_certificates.h"

#include <fmt/format.h>

#include <utility>

namespace mayfly::gateway {
namespace {

constexpr std::size_t kMost = 64;
constexpr std::size_t kMostWaiting = 1'000;
constexpr std::chrono::hours kKept{24};

}  // namespace

void SnsCertificates::Get(const std::string& url, Done done) {
  std::string known;
  bool ask = false;
  {
    const std::lock_guard lock(mutex_);
    auto found = entries_.find(url);
    if (found != entries_.end() && !found->second.certificate.empty() &&
        clock_.Now() - found->second.at > kKept) {
      entries_.erase(found);
      found = entries_.end();
    }
    if (found == entries_.end()) {
      if (entries_.size() >= kMost) {
        std::erase_if(entries_, [](const auto& entry) { return !entry.second.certificate.empty(); });
      }
      if (entries_.size() < kMost) {
        entries_[url].waiting.push_back(std::move(done));
        ask = true;
      }
    } else if (!found->second.certificate.empty()) {
      known = found->second.certificate;
    } else if (found->second.waiting.size() < kMostWaiting) {
      found->second.waiting.push_back(std::move(done));
      return;
    }
  }
  if (!ask) {
    done(known.empty() ? absl::StatusOr<std::string>(
                             absl::ResourceExhaustedError("too many messages wait for a certificate of SNS"))
                       : known);
    return;
  }
  client_.Send({.url = url}, [self = shared_from_this(), url](absl::StatusOr<HttpResult> result) {
    self->Take(url, std::move(result));
  });
}

void SnsCertificates::Take(const std::string& url, absl::StatusOr<HttpResult> result) {
  absl::StatusOr<std::string> certificate = absl::UnknownError("not fetched");
  if (!result.ok()) {
    certificate = result.status();
  } else if (result->status == 200 && !result->cut && !result->body.empty()) {
    certificate = std::move(result->body);
  } else {
    certificate =
        absl::UnavailableError(fmt::format("SigningCertURL answers with status {}", result->status));
  }
  std::vector<Done> waiting;
  {
    const std::lock_guard lock(mutex_);
    Entry& entry = entries_[url];
    waiting.swap(entry.waiting);
    if (certificate.ok()) {
      entry.certificate = *certificate;
      entry.at = clock_.Now();
    } else {
      entries_.erase(url);
    }
  }
  for (const Done& done : waiting) done(certificate);
}

}  // namespace mayfly::gateway
