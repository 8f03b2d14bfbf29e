// Whose partitions are, what is committed of them, and what is told of it all; kafka_consumer.cc reads and settles.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/backoff.h"
#include "base/log.h"
#include "gateway/sources/kafka/kafka_consumer.h"

namespace mayfly::gateway {
namespace {

using namespace std::chrono_literals;

constexpr auto kAnswer = 2'000ms;
constexpr auto kFirstPause = 100ms;
constexpr auto kLongestPause = 5s;
// How long a partition that goes to another member waits for what runs of it.
constexpr auto kLeave = 10s;
// As long as the engine remembers ids, what was lost is known to have been done.
constexpr auto kRemember = 10min;
constexpr auto kCommitEvery = 20ms;
constexpr auto kCommitAgain = 250ms;
constexpr auto kCommitLost = 30s;
constexpr auto kCheckEvery = 1s;
constexpr auto kCountEvery = 2s;

bool IsRefusal(const absl::Status& status) { return !absl::IsUnavailable(status) && !status.ok(); }

}  // namespace

void KafkaConsumer::OnAssigned(std::vector<TopicPartition> partitions) {
  joined_ = true;
  assigning_ = true;
  given_ = std::move(partitions);
  assign_at_ = clock_.Now();
}

void KafkaConsumer::Assign(base::MonotonicTime now) {
  if (!assigning_ || now < assign_at_) return;
  absl::StatusOr<std::vector<std::shared_ptr<Owned>>> placed = Place(now);
  absl::Status status = placed.status();
  std::vector<KafkaPosition> positions;
  if (status.ok()) {
    for (const auto& owned : *placed) positions.push_back({owned->partition, owned->progress.offset(), {}});
    status = client_->Assign(positions);
  }
  if (!status.ok()) {
    reason_ = status;
    assign_at_ = clock_.Now() + base::JitteredBackoff(++failures_, kFirstPause, kLongestPause);
    return;
  }
  for (std::shared_ptr<Owned>& owned : *placed) {
    if (const auto lost = lost_.find(owned->partition); lost != lost_.end()) {
      lost->second.owned->successor = owned;
      lost_.erase(lost);
    }
    owned_[owned->partition] = std::move(owned);
  }
  last_found_ = nullptr;
  assigning_ = false;
  failures_ = 0;
  given_.clear();
  uncommitted_ = true;
  recount_ = true;
}

// Where each of given_ is to be read from.
absl::StatusOr<std::vector<std::shared_ptr<KafkaConsumer::Owned>>> KafkaConsumer::Place(
    base::MonotonicTime now) {
  std::vector<std::shared_ptr<Owned>> placed;
  if (given_.empty()) return placed;
  const auto committed = client_->Committed(given_, kAnswer);
  if (!committed.ok()) return base::WithContext(committed.status(), "asking what is committed");
  const auto begins = client_->Offsets(given_, KafkaClient::Edge::kBegin, kAnswer);
  if (!begins.ok()) return base::WithContext(begins.status(), "asking where partitions begin");
  const auto ends = client_->Offsets(given_, KafkaClient::Edge::kEnd, kAnswer);
  if (!ends.ok()) return base::WithContext(ends.status(), "asking where partitions end");
  const absl::StatusOr<bool> from_end = IsNew(*committed);
  if (!from_end.ok()) return base::WithContext(from_end.status(), "asking whether the group is new");
  std::erase_if(lost_, [now](const auto& lost) { return now - lost.second.at > kRemember; });
  for (const KafkaPosition& position : *committed) {
    const std::int64_t begin = begins->at(position.partition);
    const std::int64_t end = ends->at(position.partition);
    auto owned = std::make_shared<Owned>(Owned{.partition = position.partition,
                                               .progress = KafkaProgress(*from_end ? end : begin),
                                               .end = end,
                                               .note = {},
                                               .successor = {}});
    if (position.offset > end) {
      base::log::Warn("a partition ends before what is committed; it is read from its beginning",
                      {{"partition", position.partition.ToString()}, {"committed", position.offset}});
    } else if (position.offset >= 0) {
      owned->committed = position.offset;
      owned->note = position.note;
      owned->progress = KafkaProgress(position.offset, position.note);
      if (position.offset < begin) {
        base::log::Warn("events were deleted by the server before they were taken",
                        {{"partition", position.partition.ToString()}, {"events", begin - position.offset}});
        owned->progress.ReachEnd(begin);
      }
      const auto lost = lost_.find(position.partition);
      if (lost != lost_.end() && lost->second.owned->progress.next() <= end)
        owned->progress.Merge(lost->second.owned->progress);
    }
    owned->progress.Rewind();
    placed.push_back(std::move(owned));
  }
  return placed;
}

// Whether the group has no place anywhere and is to begin with what comes. Then the place of all partitions is written down
// now: one that is added later is read from its beginning.
absl::StatusOr<bool> KafkaConsumer::IsNew(const std::vector<KafkaPosition>& committed) {
  const auto has_place = [](const KafkaPosition& position) { return position.offset >= 0; };
  if (!settings_.from_latest || std::any_of(committed.begin(), committed.end(), has_place)) return false;
  absl::StatusOr<std::vector<TopicPartition>> all = client_->Partitions(kAnswer);
  if (!all.ok()) return all.status();
  std::erase_if(*all, [this](const TopicPartition& each) {
    return std::find(given_.begin(), given_.end(), each) != given_.end();
  });
  if (all->empty()) return true;
  const auto others = client_->Committed(*all, kAnswer);
  if (!others.ok()) return others.status();
  if (std::any_of(others->begin(), others->end(), has_place)) return false;
  const auto ends = client_->Offsets(*all, KafkaClient::Edge::kEnd, kAnswer);
  if (!ends.ok()) return ends.status();
  firsts_.clear();
  for (const auto& [partition, end] : *ends) firsts_.push_back({partition, end, {}});
  return true;
}

void KafkaConsumer::OnRevoked(std::vector<TopicPartition> partitions, bool lost) {
  const base::MonotonicTime now = clock_.Now();
  Revoke(partitions);
  if (assigning_) {
    assigning_ = false;
    given_.clear();
  }
  if (!lost && !closing_) {
    leaving_ = std::move(partitions);
    leave_by_ = now + kLeave;
    for (const TopicPartition& partition : leaving_) {
      if (const auto found = owned_.find(partition); found != owned_.end()) found->second->leaving = true;
    }
    return;
  }
  if (lost) {
    joined_ = false;
    reason_ = absl::UnavailableError("the group has taken its partitions away, for want of a sign of life");
  }
  for (const TopicPartition& partition : partitions) Forget(partition, lost, now);
  (void)client_->Unassign(partitions);
}

// Tells the engine that these will be handled by others.
void KafkaConsumer::Revoke(const std::vector<TopicPartition>& partitions) {
  std::set<const Owned*> revoked;
  for (const TopicPartition& partition : partitions) {
    if (const auto found = owned_.find(partition); found != owned_.end()) revoked.insert(found->second.get());
  }
  std::vector<EventToken> tokens;
  for (const auto& [token, what] : in_flight_) {
    if (revoked.contains(what.owned.get())) tokens.push_back(token);
  }
  if (tokens.empty()) return;
  const std::lock_guard lock(sink_mutex_);
  if (sink_ != nullptr) sink_->Revoke(std::move(tokens));
}

void KafkaConsumer::Leave(base::MonotonicTime now) {
  if (leaving_.empty()) return;
  const bool settled = std::all_of(leaving_.begin(), leaving_.end(), [this](const TopicPartition& partition) {
    const auto found = owned_.find(partition);
    return found == owned_.end() ||
           (found->second->in_flight == 0 && found->second->committed == found->second->progress.offset() &&
            found->second->note == found->second->progress.Note());
  });
  if ((!settled || !sent_.empty()) && now < leave_by_) return;
  const std::vector<TopicPartition> partitions = std::exchange(leaving_, {});
  for (const TopicPartition& partition : partitions) Forget(partition, false, now);
  if (const absl::Status left = client_->Unassign(partitions); !left.ok())
    base::log::Warn("partitions could not be given back", {{"why", std::string(left.message())}});
  recount_ = true;
}

void KafkaConsumer::Forget(const TopicPartition& partition, bool lost, base::MonotonicTime now) {
  const auto found = owned_.find(partition);
  if (found == owned_.end()) return;
  found->second->gone = true;
  if (lost) {
    lost_[partition] = {found->second, now};
    uncommitted_ = true;
  }
  owned_.erase(found);
  last_found_ = nullptr;
}

std::vector<KafkaPosition> KafkaConsumer::Uncommitted() const {
  std::vector<KafkaPosition> positions = firsts_;
  for (const auto& [partition, owned] : owned_) {
    std::string note = owned->progress.Note();
    if (owned->committed != owned->progress.offset() || owned->note != note)
      positions.push_back({partition, owned->progress.offset(), std::move(note)});
  }
  return positions;
}

void KafkaConsumer::Commit(base::MonotonicTime now) {
  if (!sent_.empty() && now > sent_at_ + kCommitLost) {
    sent_.clear();
    uncommitted_ = true;
  }
  // Not while it is not known whose the partitions are.
  if (!uncommitted_ || !sent_.empty() || now < commit_at_ || !joined_ || assigning_) return;
  std::vector<KafkaPosition> positions = Uncommitted();
  uncommitted_ = false;
  if (positions.empty()) return;
  commit_at_ = now + kCommitEvery;
  if (!client_->Commit(positions).ok()) {
    commit_at_ = now + kCommitAgain;
    uncommitted_ = true;
    return;
  }
  sent_ = std::move(positions);
  sent_at_ = now;
}

void KafkaConsumer::OnCommitted(const absl::Status& status) {
  const std::vector<KafkaPosition> sent = std::exchange(sent_, {});
  if (!status.ok()) {
    uncommitted_ = true;
    commit_at_ = clock_.Now() + kCommitAgain;
    if (IsRefusal(status)) OnTrouble(base::WithContext(status, "committing"), false);
    return;
  }
  firsts_.clear();
  for (const KafkaPosition& position : sent) {
    const auto found = owned_.find(position.partition);
    if (found == owned_.end()) continue;
    found->second->committed = position.offset;
    found->second->note = position.note;
  }
}

void KafkaConsumer::OnTrouble(const absl::Status& why, bool all) {
  if (all) {
    away_ = true;
    if (reason_.ok()) reason_ = why;
  } else if (IsRefusal(why)) {
    checked_ = false;
    reason_ = why;
  } else if (reason_.ok() || absl::IsUnavailable(reason_)) {
    // Of one broker: no reason to be unwell, but the reason if all are away.
    reason_ = why;
  }
  if (!IsReady()) check_at_ = std::min(check_at_, clock_.Now() + kCheckEvery);
}

// While it is not ready: whether brokers answer, and have the topics.
void KafkaConsumer::Check(base::MonotonicTime now) {
  if (IsReady() || quiet_ || now < check_at_) return;
  absl::StatusOr<std::vector<TopicPartition>> partitions = client_->Partitions(kAnswer / 2);
  check_at_ = clock_.Now() + kCheckEvery;
  if (!partitions.ok()) {
    if (absl::IsNotFound(partitions.status())) all_.clear();
    if (IsRefusal(partitions.status())) {
      away_ = false;
      checked_ = false;
      reason_ = partitions.status();
    } else if (reason_.ok()) {
      reason_ = partitions.status();
    }
    return;
  }
  // Topics that were not there: the group is told of them at once, and not when the client next looks.
  if (all_.empty() && joined_ && owned_.empty()) (void)client_->Subscribe();
  all_ = *std::move(partitions);
  away_ = false;
  checked_ = true;
  if (IsReady()) reason_ = absl::OkStatus();
}

// How many wait, while any do: an idle trigger asks nothing.
void KafkaConsumer::Count(base::MonotonicTime now) {
  if (!IsReady() || quiet_ || (!recount_ && (now < count_at_ || Waiting() == 0))) return;
  count_at_ = now + kCountEvery;
  recount_ = false;
  const auto ends = client_->Offsets(all_, KafkaClient::Edge::kEnd, kAnswer / 2);
  if (!ends.ok()) return;
  std::vector<TopicPartition> others;
  for (const auto& [partition, end] : *ends) {
    const auto found = owned_.find(partition);
    if (found == owned_.end()) {
      others.push_back(partition);
    } else {
      found->second->end = std::max(end, found->second->progress.next());
    }
  }
  others_ = 0;
  if (others.empty()) return;
  const auto committed = client_->Committed(others, kAnswer / 2);
  if (!committed.ok()) return;
  for (const KafkaPosition& position : *committed) {
    const std::int64_t end = ends->at(position.partition);
    if (position.offset >= 0 && position.offset < end)
      others_ += static_cast<std::uint64_t>(end - position.offset);
  }
}

bool KafkaConsumer::IsReady() const { return joined_ && checked_ && !assigning_ && !away_; }

std::uint64_t KafkaConsumer::Waiting() const {
  std::uint64_t waiting = others_;
  for (const auto& [partition, owned] : owned_) {
    waiting += owned->progress.unsettled();
    if (owned->end > owned->progress.next())
      waiting += static_cast<std::uint64_t>(owned->end - owned->progress.next());
  }
  return waiting;
}

Backlog KafkaConsumer::Told() const { return IsReady() ? Backlog::Of(Waiting()) : Backlog::Unknown(); }

void KafkaConsumer::TellBacklog(base::MonotonicTime now) {
  const Backlog backlog = Told();
  if (!told_backlog_.Take(backlog, now)) return;
  const std::lock_guard lock(sink_mutex_);
  if (sink_ != nullptr) sink_->SetBacklog(backlog);
}

void KafkaConsumer::TellHealth() {
  if (IsReady()) reason_ = absl::OkStatus();
  // Not ready, and nobody has said why: it is on its way.
  if (!IsReady() && reason_.ok()) return;
  if (told_health_ == reason_) return;
  if (!IsReady() && (!told_health_ || told_health_->ok()))
    base::log::Warn("a trigger of Kafka gets no events", {{"why", std::string(reason_.message())}});
  told_health_ = reason_;
  const std::lock_guard lock(sink_mutex_);
  if (sink_ != nullptr) sink_->SetHealth(base::WithContext(reason_, "kafka"));
}

}  // namespace mayfly::gateway
