#include "operator/api/kafka_trigger.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string_view>
#include <utility>

#include "base/host_port.h"
#include "operator/api/credentials.h"
#include "operator/api/spec_bounds.h"
#include "operator/api/text_list.h"

namespace mayfly::op {
namespace {

using v1::KafkaTrigger;

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
         c == '.';
}

std::string CheckBroker(std::string_view broker) {
  if (broker.find('@') != std::string_view::npos)
    return "has a user in it, whom everybody can read; name a Secret in credentials, and leave out what is "
           "before @";
  const auto place = base::SplitHostPort(broker);
  const bool right = broker.size() <= kMaxKafkaBroker && place && !place->host.empty() && place->port != 0 &&
                     std::all_of(place->host.begin(), place->host.end(), [&](char c) {
                       return IsNameCharacter(c) || (broker.starts_with('[') && c == ':');
                     });
  if (right) return "";
  return fmt::format("{} is not the address of a Kafka broker; write HOST:9092", Quote(broker));
}

std::string CheckTopic(std::string_view topic) {
  if (!topic.empty() && topic.size() <= kMaxKafkaTopic && topic != "." && topic != ".." &&
      std::all_of(topic.begin(), topic.end(), IsNameCharacter))
    return "";
  return fmt::format("{} is not a topic's name; use letters, digits, \".\", \"-\" and \"_\", {} at most",
                     Quote(topic), kMaxKafkaTopic);
}

std::string CheckGroup(std::string_view group) {
  if (!group.empty() && group.size() <= kMaxKafkaGroup &&
      std::all_of(group.begin(), group.end(), IsNameCharacter))
    return "";
  return fmt::format("{} is not a group's name; use letters, digits, \".\", \"-\" and \"_\", {} at most",
                     Quote(group), kMaxKafkaGroup);
}

// The field's value among `words`; `value` if it is absent.
template <typename T, std::size_t N>
T ReadWord(FieldReader& reader, std::string_view field,
           const std::array<std::pair<std::string_view, T>, N>& words, std::string_view known, T value) {
  std::string text;
  if (!reader.Text(field, text)) return value;
  for (const auto& [word, meaning] : words) {
    if (word == text) return meaning;
  }
  reader.Wrong(field, fmt::format("{} is not known; use {}", Quote(text), known));
  return value;
}

constexpr std::array<std::pair<std::string_view, KafkaTrigger::StartFrom>, 2> kStarts = {{
    {"Earliest", KafkaTrigger::START_FROM_EARLIEST},
    {"Latest", KafkaTrigger::START_FROM_LATEST},
}};
constexpr std::array<std::pair<std::string_view, KafkaTrigger::Mechanism>, 3> kMechanisms = {{
    {"PLAIN", KafkaTrigger::PLAIN},
    {"SCRAM-SHA-256", KafkaTrigger::SCRAM_SHA_256},
    {"SCRAM-SHA-512", KafkaTrigger::SCRAM_SHA_512},
}};
constexpr std::array<std::pair<std::string_view, bool>, 2> kSecurities = {{
    {"Plaintext", false},
    {"TLS", true},
}};

}  // namespace

void ReadKafka(const YamlNode& node, const std::string& path, MistakeList& mistakes,
               v1::EventTrigger* trigger) {
  FieldReader reader(node, path, mistakes);
  KafkaTrigger* const kafka = trigger->mutable_kafka();
  for (std::string& broker :
       ReadNeededTextList(reader, "brokers", kMaxKafkaBrokers, mistakes, CheckBroker,
                          "is missing; say where Kafka is, as in brokers: [kafka:9092]"))
    kafka->add_brokers(std::move(broker));
  for (std::string& topic :
       ReadNeededTextList(reader, "topics", kMaxKafkaTopics, mistakes, CheckTopic,
                          "is missing; name the topics whose records are the events, as in topics: [orders]"))
    kafka->add_topics(std::move(topic));
  std::string group;
  if (reader.Text("group", group)) {
    if (const std::string wrong = CheckGroup(group); !wrong.empty()) reader.Wrong("group", wrong);
    kafka->set_group(group);
  }
  kafka->set_start_from(
      ReadWord(reader, "startFrom", kStarts, "Earliest or Latest", KafkaTrigger::START_FROM_EARLIEST));
  std::chrono::milliseconds timeout = kKafkaSessionTimeoutDefault;
  reader.Duration("sessionTimeout", kKafkaSessionTimeout, timeout);
  kafka->set_session_timeout_ms(static_cast<std::uint32_t>(timeout.count()));
  kafka->set_tls(ReadWord(reader, "security", kSecurities, "Plaintext or TLS", false));
  kafka->set_mechanism(ReadWord(reader, "mechanism", kMechanisms, "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
                                KafkaTrigger::PLAIN));
  trigger->set_secret_name(ReadCredentials(reader, mistakes));
  reader.Finish();
}

}  // namespace mayfly::op
