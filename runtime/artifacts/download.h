// Downloads one module over HTTP, HTTPS or from S3, into a file, and checks its digest while it comes.
//
// What may go away by itself (no connection, a connection that ends early or stands still, 408, 429, 5xx) is tried again
// with backoff, and continued where it stopped if the server can. What will not (404, 403, a certificate that is wrong)
// ends it at once. Redirects are followed five times, never from https to http.
//
// Blocks; one thread. libcurl, and what it links, is in mayfly-fetch alone: neither the time to load it nor its memory are
// the runtime's, and what a server sends is read by a process that has nothing else.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "runtime/artifacts/fetch_order.h"

namespace mayfly::runtime {

struct FetchFailure {
  // ArtifactNotFound, ArtifactForbidden, ArtifactUntrusted, ArtifactUnreachable (which may pass by itself), DigestMismatch,
  // TooLarge, NoSpace, BadArtifactUrl.
  std::string reason;
  std::string message;
};

// Fetches what `order` names into the empty file `fd`. `progress` hears how much has come and how much there is (0:
// unknown). The settings that count are the order's, with the files of its credentials folder laid over them.
std::optional<FetchFailure> Download(
    const FetchOrder& order, int fd,
    const std::function<void(std::uint64_t bytes, std::uint64_t total)>& progress);

// The files of `folder`, by name, without the line end of each: what a mounted Secret looks like.
std::map<std::string, std::string> ReadSettings(const std::string& folder);

}  // namespace mayfly::runtime
