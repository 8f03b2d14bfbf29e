// Whose entries are: finding and making groups, taking what nobody refreshes, and what is told of it all.
#include <fmt/format.h>

#include <algorithm>

#include "base/backoff.h"
#include "base/log.h"
#include "gateway/sources/redis/redis_consumer.h"
#include "gateway/sources/redis/redis_trouble.h"

namespace mayfly::gateway {
namespace {

using namespace std::chrono_literals;

constexpr auto kFirstRefusal = 250ms;
constexpr auto kLongestRefusal = 10s;
// A stream is there with the first entry that is added to it, and that is not to wait for long.
constexpr auto kLongestMissing = 2s;
// After a refusal it is well once it has worked for so long.
constexpr auto kProves = 500ms;
// While some wait, and at rest: what another gateway has left is found then.
constexpr auto kPoll = 1s;
constexpr std::chrono::milliseconds kLongestRest{5'000};
// Their bodies come over the shared connection.
constexpr std::size_t kMostClaimed = 10;
// Of a lag that the server does not know, so much is counted.
constexpr char kMostCounted[] = "100";
// A consumer that has nothing and did nothing for so many times claim_idle is nobody's any more.
constexpr int kForgotten = 10;

// KEYS: the stream. ARGV: the last ID that was handed out; how many are counted.
constexpr char kCount[] = "return #redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])";
// Whoever has something is not deleted: it would be lost. ARGV: the group; how a consumer's name begins; how long it has been
// idle at least; whose it is not.
constexpr char kForget[] = R"(
for _, pairs in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local c = {}
  for i = 1, #pairs, 2 do c[pairs[i]] = pairs[i + 1] end
  if c.pending == 0 and c.idle >= tonumber(ARGV[3]) and c.name ~= ARGV[4]
     and string.sub(c.name, 1, #ARGV[2]) == ARGV[2] then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], c.name)
  end
end
return 0)";

const RedisReply* FindGroup(const RedisReply& groups, const std::string& name) {
  for (const RedisReply& group : groups.items) {
    const RedisReply* const its = group.Find("name");
    if (its != nullptr && its->text == name) return &group;
  }
  return nullptr;
}

// Whether `reply` is an array of arrays of names and values.
bool IsListOfMaps(const RedisReply& reply) {
  return reply.is_array() && std::all_of(reply.items.begin(), reply.items.end(), [](const RedisReply& item) {
           return item.is_array() && item.Find("name") != nullptr;
         });
}

std::optional<std::vector<RedisId>> ReadIds(const RedisReply& reply) {
  if (!reply.is_array()) return std::nullopt;
  std::vector<RedisId> ids;
  for (const RedisReply& item : reply.items) {
    const std::optional<RedisId> id = ReadRedisId(item.text);
    if (!id) return std::nullopt;
    ids.push_back(*id);
  }
  return ids;
}

}  // namespace

void RedisConsumer::LookForGroups() {
  looking_ = streams_.size();
  for (std::size_t n = 0; n < streams_.size(); ++n) LookForGroup(n);
}

void RedisConsumer::LookForGroup(std::size_t stream) {
  Try({"XINFO", "GROUPS", streams_[stream].key},
      [stream](RedisConsumer& self, const RedisReply& reply) { self.OnGroups(stream, reply); });
}

void RedisConsumer::OnGroups(std::size_t stream, const RedisReply& reply) {
  Stream& of = streams_[stream];
  if (reply.is_error()) {
    const bool missing = RedisTroubleOf(reply.text) == RedisTrouble::kNoGroup;
    if (missing) {
      // Another of that name may have any IDs, and all of it is new.
      of.missing = true;
      of.last.reset();
      return Refuse(base::WithContext(RedisError(reply.text), "stream " + of.key));
    }
    return OnTrouble(reply.text, "stream " + of.key);
  }
  if (!IsListOfMaps(reply)) return OnNonsense("XINFO GROUPS");
  const RedisReply* const group = FindGroup(reply, settings_.group);
  if (group == nullptr) return MakeGroup(stream);
  if (!TakeGroup(stream, *group)) return OnNonsense("XINFO GROUPS");
  JoinGroup(stream);
}

void RedisConsumer::MakeGroup(std::size_t stream) {
  Stream& of = streams_[stream];
  if (!of.last) return MakeGroupAt(stream, settings_.from_new && !of.missing ? "$" : "0");
  // The group was there and is gone: it goes on before the first that is not settled, unless the stream is another one.
  RedisId place = *of.last;
  for (const auto& [id, token] : of.known) {
    if (token == 0) continue;
    place = std::min(place, id.Before());
    break;
  }
  Try({"XREVRANGE", of.key, "+", "-", "COUNT", "1"}, [stream, place](RedisConsumer& self, RedisReply reply) {
    const std::string& key = self.streams_[stream].key;
    if (reply.is_error()) return self.OnTrouble(reply.text, "stream " + key);
    std::optional<RedisEntry> newest;
    if (reply.is_array() && !reply.items.empty()) newest = ReadRedisEntry(reply.items.front());
    const bool another = newest && newest->id < place;
    base::log::Warn("a consumer group of Redis is gone, and is made anew",
                    {{"stream", key},
                     {"group", self.settings_.group},
                     {"from", another ? "its beginning" : place.Text()}});
    self.MakeGroupAt(stream, another ? "0" : place.Text());
  });
}

void RedisConsumer::MakeGroupAt(std::size_t stream, const std::string& place) {
  Try({"XGROUP", "CREATE", streams_[stream].key, settings_.group, place},
      [stream](RedisConsumer& self, const RedisReply& reply) {
        // Another gateway may have been faster.
        if (reply.is_error() && reply.text.find("BUSYGROUP") == std::string::npos)
          return self.OnTrouble(reply.text, fmt::format("making group {} of stream {}", self.settings_.group,
                                                        self.streams_[stream].key));
        self.JoinGroup(stream);
      });
}

void RedisConsumer::JoinGroup(std::size_t stream) {
  // Said for itself, since it shows whether anything may be written here.
  Try({"XGROUP", "CREATECONSUMER", streams_[stream].key, settings_.group, settings_.consumer},
      [stream](RedisConsumer& self, const RedisReply& reply) {
        Stream& of = self.streams_[stream];
        if (reply.is_error())
          return self.OnTrouble(reply.text,
                                fmt::format("group {} of stream {}", self.settings_.group, of.key));
        of.missing = false;
        if (--self.looking_ == 0) self.BecomeReady();
      });
}

void RedisConsumer::BecomeReady() {
  const base::MonotonicTime now = clock_.Now();
  ready_ = true;
  proven_at_ = refusals_ == 0 ? now : now + kProves;
  poll_at_ = now;
  sweep_at_ = now + kForgotten / 2 * settings_.claim_idle;
  // They were not refreshed while it was away.
  for (const auto& [token, unsettled] : unsettled_) extending_.push_back(token);
}

bool RedisConsumer::TakeGroup(std::size_t stream, const RedisReply& group) {
  Stream& of = streams_[stream];
  const RedisReply* const pending = group.Find("pending");
  const RedisReply* const delivered = group.Find("last-delivered-id");
  if (pending == nullptr || !pending->is_integer() || pending->integer < 0 || delivered == nullptr)
    return false;
  const std::optional<RedisId> last = ReadRedisId(delivered->text);
  if (!last) return false;
  const auto handed_out = static_cast<std::uint64_t>(pending->integer);
  of.others = handed_out - std::min<std::uint64_t>(handed_out, of.known.size());
  // What others have comes again, if the group is lost.
  if (of.others == 0 && (!of.last || *of.last < *last)) of.last = last;
  // Servers before 7 do not say it, and none does for some time after entries were deleted.
  const RedisReply* const lag = group.Find("lag");
  if (lag != nullptr && lag->is_integer() && lag->integer >= 0) {
    of.lag = static_cast<std::uint64_t>(lag->integer);
  } else {
    CountLag(stream, last->Text());
  }
  return true;
}

void RedisConsumer::CountLag(std::size_t stream, const std::string& delivered) {
  if (!scripts_) {
    streams_[stream].lag.reset();
    return;
  }
  Try({"EVAL", kCount, "1", streams_[stream].key, delivered, kMostCounted},
      [stream](RedisConsumer& self, const RedisReply& reply) {
        std::optional<std::uint64_t>& lag = self.streams_[stream].lag;
        lag.reset();
        if (reply.is_integer() && reply.integer >= 0) lag = static_cast<std::uint64_t>(reply.integer);
        self.scripts_ = self.scripts_ && !reply.is_error();
      });
}

void RedisConsumer::Poll(base::MonotonicTime now) {
  if (polling_ == 0 && now >= poll_at_) {
    polling_ = streams_.size();
    for (std::size_t n = 0; n < streams_.size(); ++n) {
      Try({"XINFO", "GROUPS", streams_[n].key},
          [n](RedisConsumer& self, const RedisReply& reply) { self.OnPoll(n, reply); });
    }
  }
  if (scan_at_ && now >= *scan_at_) {
    scan_at_.reset();
    for (std::size_t n = 0; n < streams_.size(); ++n) {
      if (streams_[n].others > 0) Scan(n);
    }
  }
}

void RedisConsumer::OnPoll(std::size_t stream, const RedisReply& reply) {
  if (reply.is_error()) return OnTrouble(reply.text, "stream " + streams_[stream].key);
  if (!IsListOfMaps(reply)) return OnNonsense("XINFO GROUPS");
  const RedisReply* const group = FindGroup(reply, settings_.group);
  if (group == nullptr) return OnTrouble("NOGROUP", "stream " + streams_[stream].key);
  if (!TakeGroup(stream, *group)) return OnNonsense("XINFO GROUPS");
  if (--polling_ > 0) return;
  const base::MonotonicTime now = clock_.Now();
  const auto rest = std::min(settings_.claim_idle / 2, kLongestRest);
  poll_at_ = now + (Waiting() > 0 ? std::min<std::chrono::milliseconds>(kPoll, rest) : rest);
  const bool any =
      std::any_of(streams_.begin(), streams_.end(), [](const Stream& of) { return of.others > 0; });
  if (any && !scan_at_) scan_at_ = now;
}

void RedisConsumer::Scan(std::size_t stream) {
  Stream& of = streams_[stream];
  if (!ready_ || quiet_ || of.scanning || credits_ == 0) return;
  of.scanning = true;
  const std::size_t most = std::min({credits_, kMostClaimed, MostEntries() * streams_.size()});
  // Those of this consumer are only refreshed by it, and the number of times that one was handed out stays.
  Try({"XAUTOCLAIM", of.key, settings_.group, settings_.consumer,
       std::to_string(settings_.claim_idle.count()), of.cursor, "COUNT", std::to_string(most), "JUSTID"},
      [stream](RedisConsumer& self, const RedisReply& reply) { self.OnScan(stream, reply); });
}

void RedisConsumer::OnScan(std::size_t stream, const RedisReply& reply) {
  Stream& of = streams_[stream];
  of.scanning = false;
  if (reply.is_error()) return OnTrouble(reply.text, "XAUTOCLAIM of " + of.key);
  if (!reply.is_array() || reply.items.size() < 2 || !reply.items[0].is_text())
    return OnNonsense("XAUTOCLAIM");
  std::optional<std::vector<RedisId>> ids = ReadIds(reply.items[1]);
  if (!ids) return OnNonsense("XAUTOCLAIM");
  of.cursor = reply.items[0].text;
  // What the stream does not have any more was taken from the group by that; servers before 7 tell it with the claim.
  if (reply.items.size() > 2 && reply.items[2].is_array()) SayLost(stream, reply.items[2].items.size());
  std::erase_if(*ids, [&](const RedisId& id) { return of.known.contains(id); });
  if (!ids->empty()) Claim(stream, *ids);
  if (of.cursor != "0-0") Scan(stream);
}

void RedisConsumer::Claim(std::size_t stream, const std::vector<RedisId>& ids) {
  const Stream& of = streams_[stream];
  const std::size_t reserved = std::min(credits_, ids.size());
  credits_ -= reserved;
  reserved_ += reserved;
  std::vector<std::string> words = {"XCLAIM", of.key, settings_.group, settings_.consumer, "0"};
  for (const RedisId& id : ids) words.push_back(id.Text());
  Try(words,
      [stream, ids](RedisConsumer& self, RedisReply reply) { self.OnClaim(stream, ids, std::move(reply)); });
}

void RedisConsumer::OnClaim(std::size_t stream, const std::vector<RedisId>& ids, RedisReply reply) {
  Stream& of = streams_[stream];
  credits_ += std::exchange(reserved_, 0);
  if (reply.is_error()) return OnTrouble(reply.text, "XCLAIM of " + of.key);
  if (!reply.is_array()) return OnNonsense("XCLAIM");
  auto claimed = std::make_shared<Claimed>();
  std::size_t gone = 0;
  for (RedisReply& item : reply.items) {
    // An entry that the stream does not have any more, or all of whose fields are gone.
    if (item.is_nil() || (item.is_array() && item.items.size() == 2 && item.items[1].is_nil())) {
      ++gone;
      continue;
    }
    std::optional<RedisEntry> entry = ReadRedisEntry(item);
    if (!entry) return OnNonsense("XCLAIM");
    claimed->ids.push_back(entry->id);
    claimed->events.push_back(EventOf(of.key, *entry));
  }
  if (gone > 0) {
    SayLost(stream, gone);
    for (const RedisId& id : ids) {
      const bool there = std::find(claimed->ids.begin(), claimed->ids.end(), id) != claimed->ids.end();
      if (!there && of.known.try_emplace(id, 0).second) of.acks.push_back(id);
    }
  }
  claimed->asked = claimed->ids.size();
  for (std::size_t n = 0; n < claimed->ids.size(); ++n) {
    const std::string id = claimed->ids[n].Text();
    Try({"XPENDING", of.key, settings_.group, id, id, "1"},
        [stream, claimed, n](RedisConsumer& self, const RedisReply& pending) {
          // [[id, consumer, idle, times]]; where that cannot be known, it was at least this once and once before.
          std::uint32_t times = 2;
          if (pending.is_array() && pending.items.size() == 1 && pending.items[0].items.size() == 4)
            times = static_cast<std::uint32_t>(
                std::clamp<std::int64_t>(pending.items[0].items[3].integer, 1, INT32_MAX));
          claimed->events[n].deliveries = times;
          if (--claimed->asked == 0) self.PushClaimed(stream, *claimed);
        });
  }
}

void RedisConsumer::PushClaimed(std::size_t stream, Claimed& claimed) {
  for (std::size_t n = 0; n < claimed.ids.size(); ++n)
    Arrive(stream, claimed.ids[n], std::move(claimed.events[n]));
  Stream& of = streams_[stream];
  of.others -= std::min<std::uint64_t>(of.others, claimed.ids.size());
}

void RedisConsumer::LookForReleased(std::size_t stream, const std::vector<RedisId>& ids,
                                    const RedisReply& released) {
  for (const RedisId& id : ids) {
    const std::string text = id.Text();
    if (std::any_of(released.items.begin(), released.items.end(),
                    [&](const RedisReply& item) { return item.text == text; }))
      continue;
    // The group does not have it any more: it was done with elsewhere, unless the stream does not have it either.
    Act({"XRANGE", streams_[stream].key, text, text}, [stream](RedisConsumer& self, const RedisReply& reply) {
      if (reply.is_array() && reply.items.empty()) self.SayLost(stream, 1);
    });
  }
}

void RedisConsumer::SayLost(std::size_t stream, std::size_t count) {
  if (count == 0) return;
  Stream& of = streams_[stream];
  of.others -= std::min<std::uint64_t>(of.others, count);
  base::log::Warn("entries of Redis were trimmed or deleted before anybody was done with them, and are lost",
                  {{"stream", of.key}, {"group", settings_.group}, {"count", count}});
  const std::lock_guard lock(sink_mutex_);
  if (sink_ != nullptr) sink_->CountLost(count);
}

void RedisConsumer::Sweep(base::MonotonicTime now) {
  if (now < sweep_at_) return;
  sweep_at_ = now + kForgotten / 2 * settings_.claim_idle;
  if (!scripts_) return;
  for (const Stream& of : streams_) {
    Try({"EVAL", kForget, "1", of.key, settings_.group, kPrefix,
         std::to_string((kForgotten * settings_.claim_idle).count()), settings_.consumer},
        [](RedisConsumer& self, const RedisReply& reply) {
          self.scripts_ = self.scripts_ && !reply.is_error();
        });
  }
}

void RedisConsumer::Leave() {
  if (!scripts_) return;
  leaving_ = streams_.size();
  for (const Stream& of : streams_) {
    Act({"EVAL", kForget, "1", of.key, settings_.group, settings_.consumer, "0", ""},
        [](RedisConsumer& self, const RedisReply&) { --self.leaving_; });
  }
}

void RedisConsumer::OnTrouble(std::string_view words, const std::string& doing) {
  const absl::Status why = base::WithContext(RedisError(words), doing);
  const base::MonotonicTime now = clock_.Now();
  switch (RedisTroubleOf(words)) {
    case RedisTrouble::kNoGroup:
      // What is missing is said by looking for it.
      if (now >= looked_at_ + kPoll) return Restart(now);
      break;
    case RedisTrouble::kElsewhere:
      elsewhere_ = why;
      break;
    case RedisTrouble::kRefused:
      break;
  }
  Refuse(why);
}

void RedisConsumer::OnNonsense(const char* command) {
  Refuse(absl::FailedPreconditionError(
      fmt::format("what the server answers to {} is not what Redis says; is it one?", command)));
}

void RedisConsumer::Refuse(const absl::Status& why) {
  const auto longest = absl::IsNotFound(why) ? std::chrono::nanoseconds(kLongestMissing) : kLongestRefusal;
  const base::MonotonicTime at = clock_.Now() + base::JitteredBackoff(++refusals_, kFirstRefusal, longest);
  Restart(at);
  send_at_ = at;
  TellHealth(why);
}

void RedisConsumer::Restart(base::MonotonicTime at) {
  ready_ = false;
  ++attempt_;
  drop_reads_ = reads_ != nullptr;
  credits_ += std::exchange(reserved_, 0);
  polling_ = 0;
  scan_at_.reset();
  for (Stream& stream : streams_) stream.scanning = false;
  look_at_ = at;
  turn_at_ = base::MonotonicTime{};
}

std::uint64_t RedisConsumer::Waiting() const {
  std::uint64_t waiting = unsettled_.size();
  for (const Stream& stream : streams_) waiting += stream.lag.value_or(0) + stream.others;
  return waiting;
}

Backlog RedisConsumer::Told() const {
  const bool known = ready_ && std::all_of(streams_.begin(), streams_.end(),
                                           [](const Stream& of) { return of.lag.has_value(); });
  return known ? Backlog::Of(Waiting()) : Backlog::Unknown();
}

void RedisConsumer::TellBacklog(base::MonotonicTime now) {
  const Backlog backlog = Told();
  if (!told_backlog_.Take(backlog, now)) return;
  const std::lock_guard lock(sink_mutex_);
  if (sink_ != nullptr) sink_->SetBacklog(backlog);
}

void RedisConsumer::TellHealth(const absl::Status& health) {
  if (told_health_ == health) return;
  told_health_ = health;
  const std::lock_guard lock(sink_mutex_);
  if (sink_ != nullptr) sink_->SetHealth(base::WithContext(health, "redis"));
}

}  // namespace mayfly::gateway
