// How entries are read and settled; redis_group.cc is whose they are, and what is told of it all.
#include "gateway/sources/redis/redis_consumer.h"

#include <algorithm>

#include "gateway/sources/redis/redis_trouble.h"

namespace mayfly::gateway {
namespace {

using namespace std::chrono_literals;

// How long the server lets a read wait for what comes.
constexpr std::chrono::milliseconds kBlocks{30'000};
constexpr auto kReadAnswers = kBlocks + 25s;  // a connection that is made first takes its time, too
constexpr auto kUnblocks = 1s;
constexpr std::size_t kMostEntries = 500;
constexpr std::size_t kMostIds = 500;
// In memory, unsettled.
constexpr std::size_t kMostBytes = std::size_t{32} << 20;
// What is released comes again, but not so soon that nobody else gets it.
constexpr auto kReleased = 200ms;
// More than any consumer waits for.
constexpr char kLongIdle[] = "86400000";

void Earliest(std::optional<base::MonotonicTime>& next, base::MonotonicTime at) {
  if (!next || at < *next) next = at;
}

std::size_t AppendIds(const std::deque<RedisId>& ids, std::vector<std::string>& words) {
  const std::size_t count = std::min(ids.size(), kMostIds);
  for (std::size_t n = 0; n < count; ++n) words.push_back(ids[n].Text());
  return count;
}

void PopFront(std::deque<RedisId>& ids, std::size_t count) {
  ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(count));
}

}  // namespace

RedisConsumer::RedisConsumer(RedisSettings settings, std::function<void()> wake)
    : settings_(std::move(settings)), wake_(std::move(wake)) {
  for (const std::string& key : settings_.streams) {
    streams_.emplace_back();
    streams_.back().key = key;
  }
}

void RedisConsumer::Attach(EventSink* sink) {
  const std::lock_guard lock(sink_mutex_);
  sink_ = sink;
}

void RedisConsumer::Grant(std::size_t credits) {
  {
    const std::lock_guard lock(mail_mutex_);
    mail_.credits += credits;
    mail_.news = true;
  }
  wake_();
}

void RedisConsumer::Settle(const std::vector<Settlement>& settlements) {
  {
    const std::lock_guard lock(mail_mutex_);
    mail_.settlements.insert(mail_.settlements.end(), settlements.begin(), settlements.end());
    mail_.news = true;
  }
  wake_();
}

void RedisConsumer::Extend(const std::vector<EventToken>& tokens) {
  {
    const std::lock_guard lock(mail_mutex_);
    // One that was not taken yet is as good: the server is away.
    if (mail_.extended.empty()) mail_.extended = tokens;
    mail_.news = true;
  }
  wake_();
}

void RedisConsumer::Quiesce() {
  {
    const std::lock_guard lock(mail_mutex_);
    mail_.quiet = true;
    mail_.news = true;
  }
  wake_();
}

void RedisConsumer::Stop(std::chrono::steady_clock::time_point deadline) {
  {
    std::unique_lock lock(mail_mutex_);
    mail_.quiet = mail_.stopping = true;
    mail_.deadline = deadline;
    mail_.news = true;
    wake_();
    // With nothing to acknowledge, a server that is away is not waited for.
    ended_changed_.wait_until(
        lock, deadline, [this] { return ended_ || (away_ && unsent_ == 0 && mail_.settlements.empty()); });
    detached_ = true;
  }
  Attach(nullptr);
  wake_();
}

bool RedisConsumer::detached() const {
  const std::lock_guard lock(mail_mutex_);
  return detached_;
}

RedisConnection::OnReply RedisConsumer::Guard(Then then, bool attempt) {
  return [self = weak_from_this(), round = round_, of = attempt_, attempt,
          then = std::move(then)](RedisReply reply) {
    const auto alive = self.lock();
    if (alive == nullptr || alive->round_ != round || (attempt && alive->attempt_ != of)) return;
    alive->turn_at_ = base::MonotonicTime{};
    then(*alive, std::move(reply));
  };
}

void RedisConsumer::Act(const std::vector<std::string>& words, Then then) {
  if (acts_ != nullptr) acts_->Ask(words, clock_.Now(), Guard(std::move(then), false));
}

void RedisConsumer::Try(const std::vector<std::string>& words, Then then) {
  if (acts_ != nullptr) acts_->Ask(words, clock_.Now(), Guard(std::move(then), true));
}

void RedisConsumer::OnConnected(RedisConnection* acts, const RedisServer& server, ssl_ctx_st* tls,
                                base::MonotonicTime now) {
  acts_ = acts;
  server_ = &server;
  tls_ = tls;
  {
    const std::lock_guard lock(mail_mutex_);
    away_ = false;
  }
  if (!look_at_ || *look_at_ < now) look_at_ = now;
  turn_at_ = now;
}

void RedisConsumer::OnDisconnected(const absl::Status& why) {
  if (absl::IsFailedPrecondition(why)) mean_bytes_ = kMostBytes;
  acts_ = nullptr;
  ++round_;
  Restart(look_at_.value_or(base::MonotonicTime{}));
  reads_.reset();
  reading_ = drop_reads_ = false;
  for (Stream& stream : streams_) stream.acks_sent = stream.releases_sent = 0;
  leaving_ = 0;
  {
    const std::lock_guard lock(mail_mutex_);
    away_ = true;
  }
  ended_changed_.notify_all();
  TellHealth(why);
  TellBacklog({});
}

void RedisConsumer::TurnIfDue(base::MonotonicTime now, std::optional<base::MonotonicTime>& next) {
  if (IsDue(now)) turn_at_ = Turn(now);
  if (turn_at_) Earliest(next, *turn_at_);
}

bool RedisConsumer::IsDue(base::MonotonicTime now) const {
  if ((turn_at_ && *turn_at_ <= now) || !collected_.empty()) return true;
  const std::lock_guard lock(mail_mutex_);
  return mail_.news;
}

void RedisConsumer::ServeReads(short ready, base::MonotonicTime now) {
  const absl::Status status = reads_->Serve(ready, now);
  if (status.ok()) return;
  // Perhaps because the reply was too large.
  if (absl::IsFailedPrecondition(status)) mean_bytes_ = kMostBytes;
  reads_.reset();
  reading_ = false;
  turn_at_ = base::MonotonicTime{};
  if (!quiet_) Refuse(status);
}

absl::Status RedisConsumer::TakeElsewhere() { return std::exchange(elsewhere_, absl::OkStatus()); }

std::optional<base::MonotonicTime> RedisConsumer::Turn(base::MonotonicTime now) {
  std::optional<base::MonotonicTime> next;
  TakeMail();
  if (std::exchange(drop_reads_, false)) {
    reads_.reset();
    reading_ = false;
  }
  PushHeld();
  PushCollected();
  Send(now);
  if (acts_ != nullptr && !quiet_) {
    if (look_at_ && now >= *look_at_) {
      look_at_.reset();
      looked_at_ = now;
      LookForGroups();
    }
    if (ready_) {
      if (now >= proven_at_) {
        refusals_ = 0;
        TellHealth(absl::OkStatus());
      } else {
        Earliest(next, proven_at_);
      }
      Read(now);
      Poll(now);
      Sweep(now);
      if (polling_ == 0) Earliest(next, poll_at_);
      if (scan_at_) Earliest(next, *scan_at_);
      Earliest(next, sweep_at_);
    }
    if (look_at_) Earliest(next, *look_at_);
  }
  if (quiet_) LetGo(now);
  if (acts_ != nullptr && now < send_at_) Earliest(next, send_at_);
  if (acts_ != nullptr && !held_.empty()) Earliest(next, std::max(refresh_at_, send_at_));
  if (unblock_by_) Earliest(next, *unblock_by_);
  TellBacklog(now);
  if (const auto due = told_backlog_.Due(Told())) Earliest(next, *due);
  EndIfDone();
  return next;
}

void RedisConsumer::TakeMail() {
  Mailbox mail;
  {
    const std::lock_guard lock(mail_mutex_);
    if (!mail_.news) return;
    const bool quiet = mail_.quiet;
    const bool stopping = mail_.stopping;
    const auto deadline = mail_.deadline;
    mail = std::exchange(mail_, {});
    mail_.quiet = quiet;
    mail_.stopping = stopping;
    mail_.deadline = deadline;
    unsent_ += mail.settlements.size();
  }
  credits_ += mail.credits;
  quiet_ = mail.quiet;
  stopping_ = mail.stopping;
  deadline_ = mail.deadline;
  for (const Settlement& settlement : mail.settlements) TakeSettlement(settlement);
  // What could not be refreshed yet is among what is to be refreshed now.
  if (acts_ == nullptr) extending_.clear();
  extending_.insert(extending_.end(), mail.extended.begin(), mail.extended.end());
}

void RedisConsumer::TakeSettlement(const Settlement& settlement) {
  const auto found = unsettled_.find(settlement.token);
  if (found == unsettled_.end()) return;
  Stream& stream = streams_[found->second.stream];
  const RedisId id = found->second.id;
  unsettled_bytes_ -= found->second.bytes;
  unsettled_.erase(found);
  if (settlement.how == Settled::kReleased) {
    stream.known.erase(id);
    stream.releases.push_back(id);
  } else {
    stream.known[id] = 0;
    stream.acks.push_back(id);
  }
}

void RedisConsumer::Send(base::MonotonicTime now) {
  if (acts_ != nullptr && now >= send_at_) {
    if (!held_.empty() && now >= refresh_at_) {
      refresh_at_ = now + settings_.claim_idle / 3;
      for (const SourceEvent& event : held_) extending_.push_back(event.token);
    }
    for (std::size_t n = 0; n < streams_.size(); ++n) {
      SendAcks(n);
      SendReleases(n);
    }
    Refresh();
  }
  std::size_t unsent = 0;
  for (const Stream& stream : streams_) unsent += stream.acks.size();
  const std::lock_guard lock(mail_mutex_);
  unsent_ = unsent;
}

void RedisConsumer::SendAcks(std::size_t stream) {
  Stream& of = streams_[stream];
  if (of.acks.empty() || of.acks_sent > 0) return;
  std::vector<std::string> words = {"XACK", of.key, settings_.group};
  of.acks_sent = AppendIds(of.acks, words);
  Act(words, [stream](RedisConsumer& self, const RedisReply& reply) {
    Stream& its = self.streams_[stream];
    const std::size_t sent = std::exchange(its.acks_sent, 0);
    if (reply.is_error()) return self.OnTrouble(reply.text, "XACK of " + its.key);
    if (!reply.is_integer()) return self.OnNonsense("XACK");
    for (std::size_t n = 0; n < sent; ++n) {
      const auto known = its.known.find(its.acks[n]);
      if (known != its.known.end() && known->second == 0) its.known.erase(known);
    }
    PopFront(its.acks, sent);
  });
}

void RedisConsumer::SendReleases(std::size_t stream) {
  Stream& of = streams_[stream];
  if (of.releases.empty() || of.releases_sent > 0) return;
  std::vector<std::string> words = {"XCLAIM", of.key, settings_.group, settings_.consumer, "0"};
  of.releases_sent = AppendIds(of.releases, words);
  words.insert(words.end(), {"IDLE", kLongIdle, "JUSTID"});
  Act(words, [stream](RedisConsumer& self, const RedisReply& reply) {
    Stream& its = self.streams_[stream];
    // If it is refused, they come again once nobody has refreshed them for long enough.
    const std::size_t sent = std::exchange(its.releases_sent, 0);
    const std::vector<RedisId> ids(its.releases.begin(),
                                   its.releases.begin() + static_cast<std::ptrdiff_t>(sent));
    PopFront(its.releases, sent);
    if (reply.is_error()) return self.OnTrouble(reply.text, "XCLAIM of " + its.key);
    its.others += sent;
    self.LookForReleased(stream, ids, reply);
    its.cursor = "0-0";
    self.scan_at_ = self.clock_.Now() + kReleased;
  });
}

void RedisConsumer::Refresh() {
  std::map<std::size_t, std::deque<RedisId>> ids;
  for (const EventToken token : std::exchange(extending_, {})) {
    const auto found = unsettled_.find(token);
    if (found != unsettled_.end()) ids[found->second.stream].push_back(found->second.id);
  }
  for (auto& each : ids) {
    const std::size_t stream = each.first;
    std::deque<RedisId>& of = each.second;
    const std::string& key = streams_[stream].key;
    while (!of.empty()) {
      std::vector<std::string> words = {"XCLAIM", key, settings_.group, settings_.consumer, "0"};
      PopFront(of, AppendIds(of, words));
      words.emplace_back("JUSTID");
      Try(words, [stream](RedisConsumer& self, const RedisReply& reply) {
        if (reply.is_error()) self.OnTrouble(reply.text, "XCLAIM of " + self.streams_[stream].key);
      });
    }
  }
}

void RedisConsumer::PushHeld() {
  for (; !held_.empty() && credits_ > 0 && !quiet_; --credits_) {
    collected_.push_back(std::move(held_.front()));
    held_.pop_front();
  }
}

void RedisConsumer::PushCollected() {
  if (collected_.empty()) return;
  const std::lock_guard lock(sink_mutex_);
  if (sink_ != nullptr) sink_->Push(std::exchange(collected_, {}));
  collected_.clear();
}

std::size_t RedisConsumer::MostEntries() const {
  const std::size_t room = kMostBytes - std::min(kMostBytes, unsettled_bytes_);
  const std::size_t fit = room / std::max<std::size_t>(mean_bytes_, 1);
  return std::clamp<std::size_t>(std::min(credits_, fit) / streams_.size(), 1, kMostEntries);
}

void RedisConsumer::Read(base::MonotonicTime now) {
  if (reading_ || drop_reads_ || credits_ == 0 || !held_.empty() || unsettled_bytes_ >= kMostBytes) return;
  if (reads_ == nullptr) reads_ = std::make_unique<RedisConnection>(*server_, tls_, now);
  std::vector<std::string> words = {"XREADGROUP",    "GROUP",
                                    settings_.group, settings_.consumer,
                                    "COUNT",         std::to_string(MostEntries()),
                                    "BLOCK",         std::to_string(kBlocks.count()),
                                    "STREAMS"};
  for (const Stream& stream : streams_) words.push_back(stream.key);
  words.insert(words.end(), streams_.size(), ">");
  reading_ = true;
  reads_->Ask(words, now,
              Guard([](RedisConsumer& self, RedisReply reply) { self.OnEntries(std::move(reply)); }, true),
              kReadAnswers);
}

void RedisConsumer::OnEntries(RedisReply reply) {
  reading_ = false;
  unblock_by_.reset();
  if (reply.is_error()) return OnTrouble(reply.text, "XREADGROUP");
  proven_at_ = {};
  if (reply.is_nil()) return;
  if (!reply.is_array()) return OnNonsense("XREADGROUP");
  for (RedisReply& each : reply.items) {
    if (!each.is_array() || each.items.size() != 2 || !each.items[1].is_array())
      return OnNonsense("XREADGROUP");
    const auto stream = std::find_if(streams_.begin(), streams_.end(),
                                     [&](const Stream& one) { return one.key == each.items[0].text; });
    if (stream == streams_.end()) return OnNonsense("XREADGROUP");
    for (RedisReply& item : each.items[1].items) {
      const std::optional<RedisEntry> entry = ReadRedisEntry(item);
      if (!entry) return OnNonsense("XREADGROUP");
      if (stream->lag && *stream->lag > 0) --*stream->lag;
      if (!stream->last || *stream->last < entry->id) stream->last = entry->id;
      Arrive(static_cast<std::size_t>(stream - streams_.begin()), entry->id, EventOf(stream->key, *entry));
    }
  }
}

void RedisConsumer::Arrive(std::size_t stream, const RedisId& id, SourceEvent event) {
  Stream& of = streams_[stream];
  const auto [known, is_new] = of.known.try_emplace(id, next_token_);
  if (!is_new) {
    // It was done here, and a group that was made anew hands it out again.
    if (known->second == 0) of.acks.push_back(id);
    return;
  }
  event.token = next_token_++;
  const std::size_t bytes = event.body.size();
  mean_bytes_ = (mean_bytes_ * 7 + bytes) / 8;
  unsettled_bytes_ += bytes;
  unsettled_.emplace(event.token, Unsettled{.stream = stream, .id = id, .bytes = bytes});
  if (credits_ > 0 && !quiet_) {
    --credits_;
    collected_.push_back(std::move(event));
  } else {
    if (held_.empty()) refresh_at_ = clock_.Now() + settings_.claim_idle / 3;
    held_.push_back(std::move(event));
  }
}

void RedisConsumer::LetGo(base::MonotonicTime now) {
  for (; !held_.empty(); held_.pop_front())
    TakeSettlement({.token = held_.front().token, .how = Settled::kReleased, .why = {}});
  for (std::size_t n = 0; n < streams_.size() && acts_ != nullptr; ++n) SendReleases(n);
  if (!reading_) {
    reads_.reset();
    return;
  }
  // What is on its way comes with the answer, and is given back.
  if (!unblock_by_ && acts_ != nullptr && reads_->client_id() != 0) {
    unblock_by_ = now + kUnblocks;
    Act({"CLIENT", "UNBLOCK", std::to_string(reads_->client_id())},
        [](RedisConsumer& self, const RedisReply& reply) {
          self.drop_reads_ = self.drop_reads_ || reply.is_error();
        });
  } else if (!unblock_by_ || now >= *unblock_by_) {
    unblock_by_.reset();
    reads_.reset();
    reading_ = false;
  }
}

void RedisConsumer::EndIfDone() {
  if (!stopping_ || (acts_ != nullptr && reading_)) return;
  for (const Stream& stream : streams_) {
    if (!stream.acks.empty() || (acts_ != nullptr && !stream.releases.empty())) return;
  }
  if (acts_ != nullptr && !std::exchange(left_, true)) Leave();
  if (leaving_ > 0) return;
  {
    const std::lock_guard lock(mail_mutex_);
    ended_ = true;
  }
  ended_changed_.notify_all();
}

}  // namespace mayfly::gateway
