// SnsCertificates are the certificates by which SNS signs, fetched once each and kept.
//
// Whoever asks for one that is not there waits with all others that ask for it; what could not be fetched is asked for
// again by the next. Their addresses are SNS's own (IsSnsUrl), so there are few: 64 are kept at most, a day each.
//
// Thread-safe; one mutex, held alone.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "gateway/client/http_client.h"

namespace mayfly::gateway {

class SnsCertificates : public std::enable_shared_from_this<SnsCertificates> {
 public:
  using Done = std::function<void(const absl::StatusOr<std::string>&)>;  // PEM

  // `client` and `clock` must outlive it.
  SnsCertificates(HttpClient& client, const base::Clock& clock) : client_(client), clock_(clock) {}

  // `done` is called at once, or on a thread of the client.
  void Get(const std::string& url, Done done);

 private:
  struct Entry {
    std::string certificate;  // "": on its way
    base::MonotonicTime at{};
    std::vector<Done> waiting;
  };

  void Take(const std::string& url, absl::StatusOr<HttpResult> result);

  HttpClient& client_;
  const base::Clock& clock_;
  std::mutex mutex_;
  std::map<std::string, Entry> entries_;  // guarded by mutex_
};

}  // namespace mayfly::gateway
