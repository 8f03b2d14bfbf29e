// Downloads one module over HTTP, HTTPS or from S3, into a file, and checks its digest while it comes.
//
// What may go away by itself (no connection, a connection that ends early or stands still, 408, 429, 5xx) is tried again
// with backoff, and continued where it stopped if the server can. What will not (404, 403, a certificate that is wrong)
// ends it at once. Redirects are followed five times, never from https to http.
//
// Blocks; one thread. libcurl, and what it links, is in mayfly-fetch alone: neither the time to load it nor its memory are
// the runtime's, and what a server sends is read by a process that has nothing else.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "runtime/artifacts/fetch_order.h"

namespace mayfly::runtime {

struct FetchFailure {
  // ArtifactNotFound, ArtifactForbidden, ArtifactUntrusted, ArtifactUnreachable (which may pass by itself), DigestMismatch,
  // TooLarge, NoSpace, NotWritable, BadArtifactUrl; of images BadArtifactImage too.
  std::string reason;
  std::string message;
};

// What is downloaded, as it may be shown, and how people mend what may go wrong with it: the ends of sentences.
struct DownloadWords {
  std::string name;
  std::string missing;    // the server has it not
  std::string forbidden;  // the server does not let us
  std::string untrusted;  // its certificate is not trusted
  std::string other;      // its digest is another
  std::string large;      // it has too many bytes
};

struct DownloadTask {
  std::string url;
  std::string sha256;
  std::uint64_t most_bytes = 0;
  std::chrono::steady_clock::time_point deadline;
  std::string folder;  // where the file is, for who reads that it has no room
  std::map<std::string, std::string> settings = {};
  DownloadWords words;
};

using DownloadProgress = std::function<void(std::uint64_t bytes, std::uint64_t total)>;

// Fetches what `order` names into the empty file `fd`. `progress` hears how much has come and how much there is (0:
// unknown). The settings that count are the order's, with the files of its credentials folder laid over them.
std::optional<FetchFailure> Download(const FetchOrder& order, int fd, const DownloadProgress& progress);

// The same of any file, as whom the settings say.
std::optional<FetchFailure> Download(const DownloadTask& task, int fd, const DownloadProgress& progress);

// The files of `folder`, by name, without the line end of each: what a mounted Secret looks like.
std::map<std::string, std::string> ReadSettings(const std::string& folder);

}  // namespace mayfly::runtime
