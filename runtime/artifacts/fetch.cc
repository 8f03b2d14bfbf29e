#include "runtime/artifacts/fetch.h"

#include <fmt/format.h>

#include <chrono>

#include "base/digest.h"
#include "runtime/artifacts/fetch_image.h"
#include "runtime/artifacts/image_reference.h"
#include "runtime/artifacts/module_cache.h"

namespace mayfly::runtime {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kProgressPeriod{250};

FetchFailure Failure(const FetchOrder& order, const char* reason, const absl::Status& status) {
  return {reason,
          fmt::format("{} cannot be fetched: {}", order.source.Shown(), std::string(status.message()))};
}

}  // namespace

std::optional<FetchFailure> FetchIntoCache(const FetchOrder& order, const DownloadProgress& progress,
                                           std::string& sha256) {
  const Clock::time_point deadline = Clock::now() + order.timeout;
  Clock::time_point next_progress{};
  const DownloadProgress tell = [&](std::uint64_t bytes, std::uint64_t total) {
    const Clock::time_point now = Clock::now();
    if (now < next_progress) return;
    next_progress = now + kProgressPeriod;
    progress(bytes, total);
  };
  const absl::StatusOr<ModuleCache> cache = ModuleCache::Open(order.folder, order.cache_bytes);
  if (!cache.ok()) return Failure(order, "NotWritable", cache.status());
  const std::string& image = order.source.image.reference;
  const std::string key = order.sha256.empty() ? base::Sha256Hex(image) : order.sha256;
  const auto lock = cache->Lock(key, deadline, [&tell] { tell(0, 0); });
  if (!lock.ok())
    return Failure(order, absl::IsDeadlineExceeded(lock.status()) ? "ArtifactUnreachable" : "NotWritable",
                   lock.status());
  const auto reference = ParseImageReference(image);
  const std::string digest = reference ? reference->digest : "";
  // Another process fetched it while this one waited.
  sha256 = order.sha256.empty() && !digest.empty() ? cache->ModuleOfImage(digest) : order.sha256;
  if (!sha256.empty() && cache->Find(sha256)) return std::nullopt;
  const auto file = cache->Begin(key);
  if (!file.ok()) return Failure(order, "NotWritable", file.status());
  FetchOrder rest = order;
  rest.timeout = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  sha256 = order.sha256;
  if (auto failure = image.empty() ? Download(rest, file->get(), tell)
                                   : FetchImage(rest, *cache, file->get(), tell, sha256)) {
    cache->Abandon(key);
    return failure;
  }
  if (const absl::Status status = cache->Keep(key, sha256, *file); !status.ok()) {
    cache->Abandon(key);
    return Failure(order, "NoSpace", status);
  }
  if (!digest.empty()) cache->KeepImage(digest, sha256);
  return std::nullopt;
}

}  // namespace mayfly::runtime
