// How events are read and settled; kafka_membership.cc is whose partitions are, and what is told of it all.
#include "gateway/sources/kafka/kafka_consumer.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/thread.h"

namespace mayfly::gateway {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMostTaken = 500;
// In memory, unsettled.
constexpr std::size_t kMostBytes = std::size_t{32} << 20;
// What is released comes again, but not so soon that nothing has changed.
constexpr auto kReleased = 200ms;
constexpr auto kLongest = 10s;  // the client must be served

}  // namespace

KafkaConsumer::KafkaConsumer(KafkaSettings settings)
    : settings_(std::move(settings)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

KafkaConsumer::~KafkaConsumer() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  Wake();
  thread_.join();
}

absl::Status KafkaConsumer::Start(EventSink& sink) {
  absl::StatusOr<std::unique_ptr<KafkaClient>> client = KafkaClient::Make(settings_, *this, wake_.get());
  if (!client.ok()) return base::WithContext(client.status(), "kafka");
  client_ = *std::move(client);
  if (absl::Status status = client_->Subscribe(); !status.ok()) return base::WithContext(status, "kafka");
  sink_ = &sink;
  thread_ = base::StartThread("kafka", [this](const std::stop_token& stop) { Run(stop); });
  return absl::OkStatus();
}

void KafkaConsumer::Grant(std::size_t credits) {
  {
    const std::lock_guard lock(mail_mutex_);
    mail_.credits += credits;
  }
  Wake();
}

void KafkaConsumer::Settle(const std::vector<Settlement>& settlements) {
  {
    const std::lock_guard lock(mail_mutex_);
    mail_.settlements.insert(mail_.settlements.end(), settlements.begin(), settlements.end());
  }
  Wake();
}

void KafkaConsumer::Quiesce() {
  {
    const std::lock_guard lock(mail_mutex_);
    mail_.quiet = true;
  }
  Wake();
}

void KafkaConsumer::Stop(std::chrono::steady_clock::time_point deadline) {
  {
    std::unique_lock lock(mail_mutex_);
    mail_.quiet = mail_.stopping = true;
    mail_.deadline = deadline;
    Wake();
    ended_changed_.wait_until(lock, deadline, [this] { return ended_; });
  }
  const std::lock_guard lock(sink_mutex_);
  sink_ = nullptr;
}

void KafkaConsumer::Wake() const { (void)::eventfd_write(wake_.get(), 1); }

void KafkaConsumer::WaitUntil(base::MonotonicTime until) const {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock_.Now());
  pollfd ready{.fd = wake_.get(), .events = POLLIN, .revents = 0};
  (void)::poll(&ready, 1, static_cast<int>(std::max<std::int64_t>(0, left.count())));
  eventfd_t count = 0;
  (void)::eventfd_read(wake_.get(), &count);
}

void KafkaConsumer::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const base::MonotonicTime next = Turn(clock_.Now());
    if (IsOver(clock_.Now())) break;
    WaitUntil(more_ ? base::MonotonicTime{} : next);
  }
  End();
}

base::MonotonicTime KafkaConsumer::Turn(base::MonotonicTime now) {
  TakeMail(now);
  client_->Serve();
  Assign(now);
  PushAgain(now);
  Pull();
  Push();
  Leave(now);
  Commit(now);
  Check(now);
  Count(now);
  TellHealth();
  TellBacklog(now);
  base::MonotonicTime next = now + kLongest;
  const auto at = [&next](base::MonotonicTime time) { next = std::min(next, time); };
  if (assigning_) at(assign_at_);
  if (!leaving_.empty()) at(leave_by_);
  if (sent_.empty() && uncommitted_ && joined_ && !assigning_) at(commit_at_);
  if (!again_.empty() && credits_ > 0) at(again_.front().at);
  if (!IsReady() && !quiet_) at(check_at_);
  if (IsReady() && !quiet_ && Waiting() > 0) at(count_at_);
  if (const auto due = told_backlog_.Due(Told())) at(*due);
  return next;
}

void KafkaConsumer::TakeMail(base::MonotonicTime now) {
  Mailbox mail;
  {
    const std::lock_guard lock(mail_mutex_);
    mail = mail_;
    mail_.credits = 0;
    mail_.settlements.clear();
  }
  credits_ += mail.credits;
  quiet_ = mail.quiet;
  stopping_ = mail.stopping;
  deadline_ = mail.deadline;
  for (const Settlement& settlement : mail.settlements) TakeSettlement(settlement, now);
}

void KafkaConsumer::TakeSettlement(const Settlement& settlement, base::MonotonicTime now) {
  const auto found = in_flight_.find(settlement.token);
  if (found == in_flight_.end()) return;
  InFlight what = std::move(found->second);
  in_flight_.erase(found);
  --what.owned->in_flight;
  const bool released = settlement.how == Settled::kReleased;
  if (released && !quiet_ && !what.owned->leaving && !what.owned->gone) {
    again_.push_back({now + kReleased, std::move(what)});
    return;
  }
  bytes_ -= what.event.body.size();
  for (Owned* owned = what.owned.get(); owned != nullptr && !released; owned = owned->successor.get())
    owned->progress.Settle(what.offset);
  uncommitted_ = uncommitted_ || !released;
}

void KafkaConsumer::Pull() {
  more_ = false;
  const std::size_t most = std::min(credits_, kMostTaken);
  if (quiet_ || most == 0 || bytes_ >= kMostBytes) return;
  const std::vector<KafkaMessage> messages = client_->Take(most);
  more_ = messages.size() == most && credits_ > 0;
  for (const KafkaMessage& message : messages) OnMessage(message);
}

std::shared_ptr<KafkaConsumer::Owned>* KafkaConsumer::Find(std::string_view topic, std::int32_t partition) {
  if (last_found_ != nullptr && (*last_found_)->partition.partition == partition &&
      (*last_found_)->partition.topic == topic)
    return last_found_;
  const auto found = owned_.find({std::string(topic), partition});
  last_found_ = found == owned_.end() ? nullptr : &found->second;
  return last_found_;
}

void KafkaConsumer::OnMessage(const KafkaMessage& message) {
  if (!message.is_end() && !message.failure().ok()) return OnTrouble(message.failure(), false);
  std::shared_ptr<Owned>* const owned = Find(message.topic(), message.partition());
  if (owned == nullptr || (*owned)->leaving) return;
  if (!message.is_end()) return OnRecord(message.record(), *owned);
  (*owned)->progress.ReachEnd(message.offset());
  (*owned)->end = message.offset();
  uncommitted_ = true;
}

void KafkaConsumer::OnRecord(const KafkaRecord& record, std::shared_ptr<Owned>& owned) {
  auto arrival = owned->progress.Arrive(record.offset);
  if (arrival == KafkaProgress::Arrival::kReplaced) {
    base::log::Warn("a partition counts from its beginning again, as one does that was made anew",
                    {{"partition", owned->partition.ToString()}, {"offset", record.offset}});
    owned->gone = true;
    owned = std::make_shared<Owned>(Owned{.partition = owned->partition,
                                          .progress = KafkaProgress(record.offset),
                                          .note = {},
                                          .successor = {}});
    arrival = owned->progress.Arrive(record.offset);
  }
  owned->end = std::max(owned->end, record.offset + 1);
  if (arrival == KafkaProgress::Arrival::kHad) return;
  SourceEvent event = EventOf(record);
  bytes_ += event.body.size();
  InFlight what{.owned = owned, .offset = record.offset, .event = event};
  Hand(std::move(what), std::move(event));
}

void KafkaConsumer::PushAgain(base::MonotonicTime now) {
  while (!again_.empty() && (quiet_ || again_.front().at <= now)) {
    InFlight what = std::move(again_.front().what);
    const bool over = quiet_ || what.owned->leaving || what.owned->gone;
    if (!over && credits_ == 0) {
      again_.front().what = std::move(what);
      return;
    }
    again_.pop_front();
    if (over) {
      bytes_ -= what.event.body.size();
      continue;
    }
    ++what.event.deliveries;
    SourceEvent event = what.event;
    Hand(std::move(what), std::move(event));
  }
}

void KafkaConsumer::Hand(InFlight what, SourceEvent event) {
  event.token = next_token_++;
  --credits_;
  ++what.owned->in_flight;
  in_flight_.emplace(event.token, std::move(what));
  collected_.push_back(std::move(event));
}

void KafkaConsumer::Push() {
  if (collected_.empty()) return;
  const std::lock_guard lock(sink_mutex_);
  if (sink_ != nullptr) sink_->Push(std::exchange(collected_, {}));
  collected_.clear();
}

bool KafkaConsumer::IsOver(base::MonotonicTime now) const {
  if (!stopping_) return false;
  // While it is not in the group, it waits to be in it again.
  return now >= deadline_ || (sent_.empty() && !uncommitted_);
}

void KafkaConsumer::End() {
  closing_ = true;
  // Without time it is only said that the group is left; without a broker, not even that.
  const auto least = clock_.Now() + (away_ ? 100ms : 1'000ms);
  if (assigning_) (void)client_->Assign({});
  if (!leaving_.empty()) (void)client_->Unassign(std::exchange(leaving_, {}));
  client_->Close(std::max<std::chrono::steady_clock::time_point>(away_ ? least : deadline_, least));
  client_.reset();
  {
    const std::lock_guard lock(mail_mutex_);
    ended_ = true;
  }
  ended_changed_.notify_all();
}

}  // namespace mayfly::gateway
