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
inline constexpr Bounds<std::int32_t> kScheduledReplicas{1, 1000};
inline constexpr Bounds<std::int32_t> kMaxAttempts{1, 100};
inline constexpr Bounds<std::int32_t> kPoolSize{0, 1000};
inline constexpr Bounds<std::int32_t> kTolerationSeconds{0, 2'147'483'647};

inline constexpr Bounds<std::chrono::milliseconds> kTimeout{std::chrono::milliseconds(10),
                                                            std::chrono::hours(24)};
inline constexpr Bounds<std::chrono::milliseconds> kScaleToZeroAfter{std::chrono::milliseconds(0),
                                                                     std::chrono::hours(24)};
inline constexpr Bounds<std::chrono::milliseconds> kScheduleLength{std::chrono::minutes(1),
                                                                   std::chrono::hours(7 * 24)};
inline constexpr Bounds<std::chrono::milliseconds> kMinBackoff{std::chrono::milliseconds(0),
                                                               std::chrono::hours(1)};
inline constexpr Bounds<std::chrono::milliseconds> kMaxBackoff{std::chrono::milliseconds(0),
                                                               std::chrono::hours(24)};
inline constexpr Bounds<std::chrono::milliseconds> kMaxAge{std::chrono::minutes(1),
                                                           std::chrono::hours(30 * 24)};

inline constexpr Bounds<std::int32_t> kBatchSize{1, 1000};
inline constexpr Bounds<std::chrono::milliseconds> kBatchWindow{std::chrono::milliseconds(0),
                                                                std::chrono::minutes(1)};
inline constexpr Bounds<std::uint64_t> kBatchBytes{1u << 10, 4u << 20};
inline constexpr Bounds<std::int32_t> kMaxInFlight{1, 10'000};
inline constexpr Bounds<std::int32_t> kBacklogPerReplica{1, 1'000'000};

inline constexpr Bounds<std::chrono::milliseconds> kCronJitter{std::chrono::milliseconds(0),
                                                               std::chrono::hours(1)};

inline constexpr Bounds<std::chrono::milliseconds> kNatsAckWait{std::chrono::seconds(1),
                                                                std::chrono::hours(1)};
inline constexpr std::chrono::milliseconds kNatsAckWaitDefault = std::chrono::seconds(30);
inline constexpr Bounds<std::int32_t> kPostgresPort{1, 65'535};
inline constexpr std::int32_t kPostgresPortDefault = 5432;
inline constexpr Bounds<std::chrono::milliseconds> kPostgresHeartbeat{std::chrono::seconds(1),
                                                                      std::chrono::hours(1)};
inline constexpr Bounds<std::uint64_t> kPostgresMaxLag{1u << 20, 1ull << 44};
inline constexpr Bounds<std::chrono::milliseconds> kKafkaSessionTimeout{std::chrono::seconds(1),
                                                                        std::chrono::minutes(30)};
inline constexpr std::chrono::milliseconds kKafkaSessionTimeoutDefault = std::chrono::seconds(10);
inline constexpr Bounds<std::int32_t> kRedisDatabase{0, 65'535};
inline constexpr Bounds<std::chrono::milliseconds> kRedisClaimIdle{std::chrono::seconds(1),
                                                                   std::chrono::hours(1)};
inline constexpr std::chrono::milliseconds kRedisClaimIdleDefault = std::chrono::seconds(30);
inline constexpr Bounds<std::chrono::milliseconds> kWebhookTolerance{std::chrono::seconds(1),
                                                                     std::chrono::hours(1)};

inline constexpr Bounds<std::uint64_t> kMemory{16u << 20, 1ull << 42};
inline constexpr Bounds<std::uint64_t> kMaxRequestBytes{1u << 10, 1u << 30};

inline constexpr std::size_t kMaxTriggers = 64;
inline constexpr std::size_t kMaxSchedule = 256;
inline constexpr std::size_t kMaxSchedules = 16;
inline constexpr std::size_t kMaxTimeZone = 64;
inline constexpr std::size_t kMaxNatsServers = 16;
inline constexpr std::size_t kMaxNatsServer = 512;
inline constexpr std::size_t kMaxNatsSubjects = 16;
inline constexpr std::size_t kMaxNatsSubject = 255;
inline constexpr std::size_t kMaxNatsName = 255;
inline constexpr std::size_t kMaxNatsDomain = 64;
inline constexpr std::size_t kMaxNatsInbox = 128;
inline constexpr std::size_t kMaxPostgresHost = 253;
inline constexpr std::size_t kMaxPostgresName = 63;  // of a database, a column, a slot
inline constexpr std::size_t kMaxPostgresTable = 127;
inline constexpr std::size_t kMaxPostgresTables = 64;
inline constexpr std::size_t kMaxPostgresColumns = 128;
inline constexpr std::size_t kMaxKafkaBrokers = 16;
inline constexpr std::size_t kMaxKafkaBroker = 261;
inline constexpr std::size_t kMaxKafkaTopics = 16;
inline constexpr std::size_t kMaxKafkaTopic = 249;
inline constexpr std::size_t kMaxKafkaGroup = 255;
inline constexpr std::size_t kMaxRedisServer = 261;
inline constexpr std::size_t kMaxRedisStreams = 16;
inline constexpr std::size_t kMaxRedisName = 255;
inline constexpr std::size_t kMaxHeaderName = 128;
inline constexpr std::size_t kMaxTopics = 16;
inline constexpr std::size_t kMaxTopicArn = 512;
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
