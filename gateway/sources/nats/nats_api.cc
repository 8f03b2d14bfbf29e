#include "gateway/sources/nats/nats_api.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/cord.h"
#include "gateway/sources/bounded_json.h"

namespace mayfly::gateway {
namespace {

using Json = nlohmann::json;

constexpr char kOurs[] = "mayfly.dev/managed";
constexpr int kStreamNotFound = 10059;
constexpr int kConsumerNotFound = 10014;
constexpr char kNoStreamPayload[] = "mayfly.dev/no-stream";
// Of all gateways together; what each has is bounded by what it asks for.
constexpr int kMaxAckPending = 100'000;

std::uint64_t Number(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number_integer() && found->get<std::int64_t>() > 0
             ? found->get<std::uint64_t>()
             : 0;
}

std::vector<std::string> Subjects(const Json& config) {
  std::vector<std::string> subjects;
  if (std::string one = JsonText(config, {"filter_subject"}); !one.empty())
    subjects.push_back(std::move(one));
  if (const auto many = config.find("filter_subjects"); many != config.end() && many->is_array()) {
    for (const Json& each : *many) {
      if (each.is_string()) subjects.push_back(each.get<std::string>());
    }
  }
  return subjects;
}

bool SameSubjects(std::vector<std::string> a, std::vector<std::string> b) {
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  const std::vector<std::string> all = {">"};
  return (a == all ? std::vector<std::string>() : a) == (b == all ? std::vector<std::string>() : b);
}

const char* DeliverPolicy(v1::NatsTrigger::StartFrom start) {
  switch (start) {
    case v1::NatsTrigger::START_FROM_NEW:
      return "new";
    case v1::NatsTrigger::START_FROM_LAST:
      return "last";
    case v1::NatsTrigger::START_FROM_LAST_PER_SUBJECT:
      return "last_per_subject";
    default:
      return "all";
  }
}

// The document, if it is no error.
absl::StatusOr<Json> Read(std::string_view answer) {
  absl::StatusOr<Json> document = ParseBoundedJson(answer);
  if (!document.ok() || !document->is_object())
    return absl::InternalError("the server's answer is not one of JetStream's API");
  const auto error = document->find("error");
  if (error == document->end() || !error->is_object()) return document;
  const auto code = Number(*error, "err_code");
  const std::string text = fmt::format("{} ({})", JsonText(*error, {"description"}), code);
  if (code == kStreamNotFound) {
    absl::Status status = absl::NotFoundError(text);
    status.SetPayload(kNoStreamPayload, absl::Cord());
    return status;
  }
  if (code == kConsumerNotFound) return absl::NotFoundError(text);
  return Number(*error, "code") == 503 ? absl::UnavailableError(text) : absl::FailedPreconditionError(text);
}

}  // namespace

std::string ConsumerInfoSubject(const NatsSettings& settings) {
  return fmt::format("{}.CONSUMER.INFO.{}.{}", settings.api, settings.stream, settings.consumer);
}

std::string ConsumerCreateSubject(const NatsSettings& settings) {
  std::string subject =
      fmt::format("{}.CONSUMER.CREATE.{}.{}", settings.api, settings.stream, settings.consumer);
  if (settings.subjects.size() == 1) subject += "." + settings.subjects.front();
  return subject;
}

std::string StreamCreateSubject(const NatsSettings& settings) {
  return fmt::format("{}.STREAM.CREATE.{}", settings.api, settings.stream);
}

std::string NextSubject(const NatsSettings& settings) {
  return fmt::format("{}.CONSUMER.MSG.NEXT.{}.{}", settings.api, settings.stream, settings.consumer);
}

std::string ConsumerCreateRequest(const NatsSettings& settings, std::uint64_t from, bool update) {
  Json config = {
      {"durable_name", settings.consumer},
      {"name", settings.consumer},
      {"description", "a trigger of Mayfly's"},
      {"ack_policy", "explicit"},
      {"ack_wait", std::chrono::nanoseconds(settings.ack_wait).count()},
      {"deliver_policy", DeliverPolicy(settings.start_from)},
      {"replay_policy", "instant"},
      // Retries are counted here: at its own limit the server would keep the message and say nothing.
      {"max_deliver", -1},
      {"max_ack_pending", kMaxAckPending},
      {"metadata", {{kOurs, "true"}}}};
  if (from > 0 && !update) {
    config["deliver_policy"] = "by_start_sequence";
    config["opt_start_seq"] = from;
  }
  if (settings.subjects.size() == 1) config["filter_subject"] = settings.subjects.front();
  if (settings.subjects.size() > 1) config["filter_subjects"] = settings.subjects;
  return Json{{"stream_name", settings.stream}, {"config", config}, {"action", update ? "update" : "create"}}
      .dump();
}

std::string StreamCreateRequest(const NatsSettings& settings) {
  return Json{{"name", settings.stream}, {"subjects", settings.create_subjects},
              {"retention", "limits"},   {"storage", "file"},
              {"discard", "old"},        {"num_replicas", 1},
              {"max_consumers", -1},     {"max_msgs", -1},
              {"max_bytes", -1},         {"max_age", 0}}
      .dump();
}

std::string NextRequest(std::uint64_t batch, std::uint64_t max_bytes, std::chrono::nanoseconds expires,
                        std::chrono::nanoseconds heartbeat) {
  return fmt::format(R"({{"batch":{},"max_bytes":{},"expires":{},"idle_heartbeat":{}}})", batch, max_bytes,
                     expires.count(), heartbeat.count());
}

std::string NakPayload(std::chrono::nanoseconds delay) {
  return delay.count() <= 0 ? "-NAK" : fmt::format(R"(-NAK {{"delay": {}}})", delay.count());
}

absl::StatusOr<NatsConsumerInfo> ReadConsumerInfo(std::string_view answer) {
  const absl::StatusOr<Json> document = Read(answer);
  if (!document.ok()) return document.status();
  const auto config = document->find("config");
  if (config == document->end() || !config->is_object())
    return absl::InternalError("the server's answer is not about a consumer");
  NatsConsumerInfo info;
  info.ours = JsonText(*config, {"metadata", kOurs}) == "true";
  info.pushes = !JsonText(*config, {"deliver_subject"}).empty();
  info.explicit_acks = JsonText(*config, {"ack_policy"}) == "explicit";
  info.subjects = Subjects(*config);
  info.ack_wait = std::chrono::nanoseconds(Number(*config, "ack_wait"));
  info.max_batch = Number(*config, "max_batch");
  info.max_expires = std::chrono::nanoseconds(Number(*config, "max_expires"));
  info.pending = Number(*document, "num_pending");
  info.ack_pending = Number(*document, "num_ack_pending");
  return info;
}

absl::Status ReadAnswer(std::string_view answer) { return Read(answer).status(); }

bool IsNoStream(const absl::Status& status) { return status.GetPayload(kNoStreamPayload).has_value(); }

absl::Status CheckConsumer(const NatsSettings& settings, const NatsConsumerInfo& info) {
  const std::string what = fmt::format("consumer {} of stream {}", settings.consumer, settings.stream);
  if (info.pushes)
    return absl::FailedPreconditionError(what +
                                         " pushes to a subject: a trigger takes one that is pulled from");
  if (!info.explicit_acks)
    return absl::FailedPreconditionError(
        what + " does not acknowledge each message: its ack policy must be explicit");
  const bool same = SameSubjects(info.subjects, settings.subjects);
  if (info.ours) {
    return same && info.ack_wait == settings.ack_wait ? absl::OkStatus()
                                                      : absl::AbortedError(what + " has other settings");
  }
  // Somebody else's is taken as it is, unless that is not what the manifest says.
  if (!settings.subjects.empty() && !same) {
    return absl::FailedPreconditionError(
        fmt::format("{} is for the subjects {}, and the trigger's are {}", what,
                    info.subjects.empty() ? ">" : fmt::format("{}", fmt::join(info.subjects, ", ")),
                    fmt::join(settings.subjects, ", ")));
  }
  if (info.ack_wait < settings.ack_wait) {
    return absl::FailedPreconditionError(
        fmt::format("{} waits {} s for an acknowledgement, and the trigger's ackWait is {} s: make that less",
                    what, std::chrono::duration<double>(info.ack_wait).count(),
                    std::chrono::duration<double>(settings.ack_wait).count()));
  }
  return absl::OkStatus();
}

}  // namespace mayfly::gateway
