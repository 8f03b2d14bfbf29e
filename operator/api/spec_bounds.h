// The bounds of every number, text and list of the custom resources, in one place.
//
// deploy/crds/ says the same to the API server, and a test holds the two together; the README of this folder repeats
// them for people.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "operator/api/field_reader.h"

namespace mayfly::op {

inline constexpr Bounds<std::int32_t> kConcurrency{1, 1000};
inline constexpr Bounds<std::int32_t> kMinReplicas{0, 1000};
inline constexpr Bounds<std::int32_t> kMaxReplicas{1, 1000};
inline constexpr Bounds<std::int32_t> kTargetUtilization{1, 100};
inline constexpr Bounds<std::int32_t> kMaxAttempts{1, 100};
inline constexpr Bounds<std::int32_t> kPoolSize{0, 1000};
inline constexpr Bounds<std::int32_t> kTolerationSeconds{0, 2'147'483'647};

inline constexpr Bounds<std::chrono::milliseconds> kTimeout{std::chrono::milliseconds(10),
                                                            std::chrono::hours(24)};
inline constexpr Bounds<std::chrono::milliseconds> kScaleToZeroAfter{std::chrono::milliseconds(0),
                                                                     std::chrono::hours(24)};
inline constexpr Bounds<std::chrono::milliseconds> kMinBackoff{std::chrono::milliseconds(0),
                                                               std::chrono::hours(1)};
inline constexpr Bounds<std::chrono::milliseconds> kMaxBackoff{std::chrono::milliseconds(0),
                                                               std::chrono::hours(24)};
inline constexpr Bounds<std::chrono::milliseconds> kMaxAge{std::chrono::minutes(1),
                                                           std::chrono::hours(30 * 24)};

inline constexpr Bounds<std::uint64_t> kMemory{16u << 20, 1ull << 42};
inline constexpr Bounds<std::uint64_t> kMaxRequestBytes{1u << 10, 1u << 30};

inline constexpr std::size_t kMaxTriggers = 64;
inline constexpr std::size_t kMaxVariables = 256;
inline constexpr std::size_t kMaxEnvironmentBytes = 128u << 10;
inline constexpr std::size_t kMaxPullSecrets = 16;
inline constexpr std::size_t kMaxTolerations = 32;
inline constexpr std::size_t kMaxResources = 16;     // of requests, of limits
inline constexpr std::size_t kMaxPodTexts = 64;      // nodeSelector, podLabels, podAnnotations
inline constexpr std::size_t kMaxAnnotation = 4096;  // bytes of a value in podAnnotations
inline constexpr std::size_t kMaxPathBytes = 4096;
inline constexpr std::size_t kMaxUrlBytes = 2048;

}  // namespace mayfly::op
