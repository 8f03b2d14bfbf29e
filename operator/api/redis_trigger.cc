#include "operator/api/redis_trigger.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

#include "base/host_port.h"
#include "operator/api/credentials.h"
#include "operator/api/spec_bounds.h"
#include "operator/api/text_list.h"

namespace mayfly::op {
namespace {

using v1::RedisTrigger;

bool IsHostCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
         c == '.';
}

std::string CheckServer(std::string_view server) {
  if (server.find('@') != std::string_view::npos)
    return "has a user in it, whom everybody can read; name a Secret in credentials, and leave out what is "
           "before @";
  const auto place = base::SplitHostPort(server);
  const bool right = server.size() <= kMaxRedisServer && place && !place->host.empty() && place->port != 0 &&
                     std::all_of(place->host.begin(), place->host.end(), [&](char c) {
                       return IsHostCharacter(c) || (server.starts_with('[') && c == ':');
                     });
  if (right) return "";
  return fmt::format("{} is not the address of a Redis server; write HOST:6379", Quote(server));
}

bool IsPrintable(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) > ' ' && c != '\x7f'; });
}

std::string CheckStream(std::string_view stream) {
  if (!stream.empty() && stream.size() <= kMaxRedisName && IsPrintable(stream)) return "";
  return fmt::format("{} is not a stream's key; {} bytes at most, without spaces", Quote(stream),
                     kMaxRedisName);
}

// One of two words; `first` if the field is absent. True if it is `second`.
bool ReadChoice(FieldReader& reader, std::string_view field, std::string_view first,
                std::string_view second) {
  std::string text;
  if (!reader.Text(field, text) || text == first) return false;
  if (text != second)
    reader.Wrong(field, fmt::format("{} is not known; use {} or {}", Quote(text), first, second));
  return text == second;
}

}  // namespace

void ReadRedis(const YamlNode& node, const std::string& path, MistakeList& mistakes,
               v1::EventTrigger* trigger) {
  FieldReader reader(node, path, mistakes);
  RedisTrigger* const redis = trigger->mutable_redis();
  std::string server;
  if (reader.Text("server", server)) {
    if (const std::string wrong = CheckServer(server); !wrong.empty()) reader.Wrong("server", wrong);
    redis->set_server(server);
  } else if (reader.is_map() && reader.Find("server") == nullptr) {
    reader.Wrong("server", "is missing; say where Redis is, as in server: redis:6379");
  }
  std::int32_t database = 0;
  reader.Integer("database", kRedisDatabase, database);
  redis->set_database(static_cast<std::uint32_t>(database));
  for (std::string& stream : ReadNeededTextList(
           reader, "streams", kMaxRedisStreams, mistakes, CheckStream,
           "is missing; name the streams whose entries are the events, as in streams: [orders]"))
    redis->add_streams(std::move(stream));
  std::string group;
  if (reader.Text("group", group)) {
    if (group.empty() || group.size() > kMaxRedisName || !IsPrintable(group)) {
      reader.Wrong("group", fmt::format("{} is not a group's name; {} bytes at most, without spaces",
                                        Quote(group), kMaxRedisName));
    }
    redis->set_group(group);
  }
  redis->set_start_from(ReadChoice(reader, "startFrom", "All", "New") ? RedisTrigger::START_FROM_NEW
                                                                      : RedisTrigger::START_FROM_ALL);
  std::chrono::milliseconds idle = kRedisClaimIdleDefault;
  reader.Duration("claimIdle", kRedisClaimIdle, idle);
  redis->set_claim_idle_ms(static_cast<std::uint32_t>(idle.count()));
  redis->set_tls(ReadChoice(reader, "security", "Plaintext", "TLS"));
  trigger->set_secret_name(ReadCredentials(reader, mistakes));
  reader.Finish();
}

}  // namespace mayfly::op
