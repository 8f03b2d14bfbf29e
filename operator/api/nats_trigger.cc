#include "operator/api/nats_trigger.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "operator/api/credentials.h"
#include "operator/api/spec_bounds.h"
#include "operator/api/text_list.h"

namespace mayfly::op {
namespace {

using v1::NatsTrigger;

constexpr std::array<std::pair<std::string_view, NatsTrigger::StartFrom>, 4> kStarts = {{
    {"All", NatsTrigger::START_FROM_ALL},
    {"Last", NatsTrigger::START_FROM_LAST},
    {"LastPerSubject", NatsTrigger::START_FROM_LAST_PER_SUBJECT},
    {"New", NatsTrigger::START_FROM_NEW},
}};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || IsDigit(c) || c == '-' || c == '_';
}

// Of a stream, a consumer, a domain.
std::string CheckNatsName(std::string_view name, std::size_t longest) {
  if (!name.empty() && name.size() <= longest && std::all_of(name.begin(), name.end(), IsNameCharacter))
    return "";
  return fmt::format("{} is not a name; use letters, digits, \"-\" and \"_\", {} at most", Quote(name),
                     longest);
}

// "orders.*.eu", "orders.>"
std::string CheckSubject(std::string_view subject) {
  bool right = !subject.empty() && subject.size() <= kMaxNatsSubject;
  for (std::string_view rest = subject; right;) {
    const std::size_t dot = rest.find('.');
    const std::string_view token = rest.substr(0, dot);
    const bool wild = token == "*" || (token == ">" && dot == std::string_view::npos);
    right = !token.empty() && (wild || token.find_first_of(" \t\r\n*>") == std::string_view::npos);
    if (dot == std::string_view::npos) break;
    rest.remove_prefix(dot + 1);
  }
  if (right) return "";
  return fmt::format("{} is not a subject; write one like orders.new, orders.* or orders.>", Quote(subject));
}

std::string CheckServer(std::string_view server) {
  const std::string wrong = fmt::format(
      "{} is not the address of a NATS server; write nats://HOST:4222, or tls://HOST:4222", Quote(server));
  if (server.size() > kMaxNatsServer) return wrong;
  if (server.find('@') != std::string_view::npos)
    return "has a user in it, whom everybody can read; name a Secret in credentials, and leave out what is "
           "before @";
  std::string_view rest = server;
  if (!rest.starts_with("nats://") && !rest.starts_with("tls://")) return wrong;
  rest.remove_prefix(rest.find("//") + 2);
  if (rest.starts_with('[')) {
    const std::size_t end = rest.find(']');
    if (end == std::string_view::npos || end == 1) return wrong;
    const std::string_view address = rest.substr(1, end - 1);
    if (address.find_first_not_of("0123456789abcdefABCDEF:.") != std::string_view::npos) return wrong;
    rest.remove_prefix(end + 1);
  } else {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    const std::string_view host = rest.substr(0, end);
    const bool right =
        std::all_of(host.begin(), host.end(), [](char c) { return IsNameCharacter(c) || c == '.'; });
    if (host.empty() || !right) return wrong;
    rest.remove_prefix(end);
  }
  if (rest.empty()) return "";
  rest.remove_prefix(1);
  const bool port = !rest.empty() && rest.size() <= 5 && std::all_of(rest.begin(), rest.end(), IsDigit);
  return server[server.size() - rest.size() - 1] == ':' && port ? "" : wrong;
}

std::string ReadName(FieldReader& reader, std::string_view field, std::size_t longest) {
  std::string name;
  if (!reader.Text(field, name)) return "";
  const std::string wrong = CheckNatsName(name, longest);
  if (!wrong.empty()) reader.Wrong(field, wrong);
  return name;
}

void ReadStart(FieldReader& reader, NatsTrigger* nats) {
  nats->set_start_from(NatsTrigger::START_FROM_ALL);
  std::string text;
  if (!reader.Text("startFrom", text)) return;
  for (const auto& [word, start] : kStarts) {
    if (word == text) return nats->set_start_from(start);
  }
  reader.Wrong("startFrom",
               fmt::format("{} is not known; use All, Last, LastPerSubject or New", Quote(text)));
}

void ReadCreateStream(const YamlNode& node, const std::string& path, MistakeList& mistakes,
                      NatsTrigger* nats) {
  FieldReader stream(node, path, mistakes);
  for (std::string& subject :
       ReadNeededTextList(stream, "subjects", kMaxNatsSubjects, mistakes, CheckSubject,
                          "is missing; say which subjects the stream is of, as in subjects: [\"orders.>\"]"))
    nats->add_create_stream_subjects(std::move(subject));
  stream.Finish();
}

}  // namespace

void ReadNats(const YamlNode& node, const std::string& path, MistakeList& mistakes,
              v1::EventTrigger* trigger) {
  FieldReader reader(node, path, mistakes);
  NatsTrigger* const nats = trigger->mutable_nats();
  for (std::string& server :
       ReadNeededTextList(reader, "servers", kMaxNatsServers, mistakes, CheckServer,
                          "is missing; say where NATS is, as in servers: [nats://nats:4222]"))
    nats->add_servers(std::move(server));
  nats->set_stream(ReadName(reader, "stream", kMaxNatsName));
  if (reader.is_map() && reader.Find("stream") == nullptr)
    reader.Wrong(
        "stream",
        "is missing; name the stream of JetStream whose messages are the events, as in stream: ORDERS");
  nats->set_consumer(ReadName(reader, "consumer", kMaxNatsName));
  for (std::string& subject : ReadTextList(reader, "subjects", kMaxNatsSubjects, mistakes, CheckSubject))
    nats->add_subjects(std::move(subject));
  ReadStart(reader, nats);
  std::chrono::milliseconds ack_wait = kNatsAckWaitDefault;
  reader.Duration("ackWait", kNatsAckWait, ack_wait);
  nats->set_ack_wait_ms(static_cast<std::uint32_t>(ack_wait.count()));
  nats->set_domain(ReadName(reader, "domain", kMaxNatsDomain));
  std::string prefix;
  if (reader.Text("inboxPrefix", prefix)) {
    const std::string wrong = CheckSubject(prefix);
    if (!wrong.empty() || prefix.size() > kMaxNatsInbox || prefix.find_first_of("*>") != std::string::npos) {
      reader.Wrong(
          "inboxPrefix",
          fmt::format("{} is not the beginning of a subject; write one like _INBOX_orders", Quote(prefix)));
    }
    nats->set_inbox_prefix(prefix);
  }
  if (const YamlNode* stream = reader.Find("createStream"))
    ReadCreateStream(*stream, reader.PathOf("createStream"), mistakes, nats);
  trigger->set_secret_name(ReadCredentials(reader, mistakes));
  reader.Finish();
}

}  // namespace mayfly::op
