#include "runtime/artifacts/fetch.h"

#include <fmt/format.h>

#include <chrono>

#include "runtime/artifacts/module_cache.h"

namespace mayfly::runtime {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kProgressPeriod{250};

FetchFailure Failure(const FetchOrder& order, const char* reason, const absl::Status& status) {
  return {reason,
          fmt::format("{} cannot be fetched: {}", ShownUrl(order.url), std::string(status.message()))};
}

}  // namespace

std::optional<FetchFailure> FetchIntoCache(
    const FetchOrder& order, const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  const Clock::time_point deadline = Clock::now() + order.timeout;
  Clock::time_point next_progress{};
  const auto tell = [&](std::uint64_t bytes, std::uint64_t total) {
    const Clock::time_point now = Clock::now();
    if (now < next_progress) return;
    next_progress = now + kProgressPeriod;
    progress(bytes, total);
  };
  const absl::StatusOr<ModuleCache> cache = ModuleCache::Open(order.folder, order.cache_bytes);
  if (!cache.ok()) return Failure(order, "NotWritable", cache.status());
  const auto lock = cache->Lock(order.sha256, deadline, [&tell] { tell(0, 0); });
  if (!lock.ok())
    return Failure(order, absl::IsDeadlineExceeded(lock.status()) ? "ArtifactUnreachable" : "NotWritable",
                   lock.status());
  // Another process fetched it while this one waited.
  if (cache->Find(order.sha256)) return std::nullopt;
  const auto file = cache->Begin(order.sha256);
  if (!file.ok()) return Failure(order, "NotWritable", file.status());
  FetchOrder rest = order;
  rest.timeout = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  if (auto failure = Download(rest, file->get(), tell)) {
    cache->Abandon(order.sha256);
    return failure;
  }
  if (const absl::Status status = cache->Keep(order.sha256, *file); !status.ok()) {
    cache->Abandon(order.sha256);
    return Failure(order, "NoSpace", status);
  }
  return std::nullopt;
}

}  // namespace mayfly::runtime
