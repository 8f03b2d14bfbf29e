// The requests of JetStream's API that a trigger makes, and their answers. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "mayfly/v1/triggers.pb.h"

namespace mayfly::gateway {

// A trigger's settings, defaults filled in.
struct NatsSettings {
  std::string api;  // "$JS.API", or of a domain
  std::string stream;
  std::string consumer;
  std::vector<std::string> subjects;         // filters; empty for all
  std::vector<std::string> create_subjects;  // of a stream that is made if it is not there; empty: it is not
  v1::NatsTrigger::StartFrom start_from = v1::NatsTrigger::START_FROM_ALL;
  std::chrono::milliseconds ack_wait{30'000};
  std::string inbox_prefix;
};

// A consumer as the server has it.
struct NatsConsumerInfo {
  bool ours = false;  // made by Mayfly
  bool pushes = false;
  bool explicit_acks = false;
  std::vector<std::string> subjects;
  std::chrono::nanoseconds ack_wait{0};
  std::uint64_t max_batch = 0;  // of a pull; 0: any
  std::chrono::nanoseconds max_expires{0};
  std::uint64_t pending = 0;      // not handed out yet
  std::uint64_t ack_pending = 0;  // handed out, not acknowledged
};

std::string ConsumerInfoSubject(const NatsSettings& settings);
std::string ConsumerCreateSubject(const NatsSettings& settings);
std::string StreamCreateSubject(const NatsSettings& settings);
std::string NextSubject(const NatsSettings& settings);

// `from`: the first sequence to be handed out, instead of where the settings start; 0: as they say.
std::string ConsumerCreateRequest(const NatsSettings& settings, std::uint64_t from, bool update);
std::string StreamCreateRequest(const NatsSettings& settings);
std::string NextRequest(std::uint64_t batch, std::uint64_t max_bytes, std::chrono::nanoseconds expires,
                        std::chrono::nanoseconds heartbeat);
std::string NakPayload(std::chrono::nanoseconds delay);

// kNotFound: there is no such stream, or no such consumer; IsNoStream() tells them apart. Others have the server's words.
absl::StatusOr<NatsConsumerInfo> ReadConsumerInfo(std::string_view answer);
// Whether the answer is no error.
absl::Status ReadAnswer(std::string_view answer);
bool IsNoStream(const absl::Status& status);

// Whether the consumer can be used as it is. kAborted: it is ours, and to be updated.
absl::Status CheckConsumer(const NatsSettings& settings, const NatsConsumerInfo& info);

}  // namespace mayfly::gateway
