#include "gateway/sources/nats/nats_consumer.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <charconv>

#include "base/backoff.h"
#include "gateway/sources/nats/nats_delivery.h"

namespace mayfly::gateway {
namespace {

using namespace std::chrono_literals;

constexpr auto kRequestTimeout = 5s;
constexpr auto kExpires = 120s;
constexpr auto kHeartbeat = 15s;
constexpr auto kLost = 2 * kHeartbeat + 1s;
constexpr auto kPoll = 2s;
constexpr auto kPause = 250ms;
constexpr auto kFirstRefusal = 250ms;
constexpr auto kLongestRefusal = 10s;
// What is released comes again, but not so soon that nobody else gets it.
constexpr auto kReleased = 200ms;
constexpr auto kFlush = 2s;
// In memory; at most one pull's worth beyond the first is on its way, and no message of a NATS server is larger than the second.
constexpr std::size_t kMostBytes = std::size_t{32} << 20;
constexpr std::size_t kPullBytes = std::size_t{64} << 20;

std::string NewInbox(const std::string& prefix) {
  std::uint64_t random[2] = {0, 0};
  if (::getrandom(random, sizeof random, 0) != sizeof random)
    random[0] = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  return fmt::format("{}.mayfly{:016x}{:016x}", prefix, random[0], random[1]);
}

void Earliest(std::optional<base::MonotonicTime>& next, base::MonotonicTime at) {
  if (!next || at < *next) next = at;
}

}  // namespace

NatsConsumer::NatsConsumer(NatsSettings settings, std::function<void()> wake)
    : settings_(std::move(settings)), wake_(std::move(wake)) {}

void NatsConsumer::Attach(EventSink* sink) {
  const std::lock_guard lock(sink_mutex_);
  sink_ = sink;
}

void NatsConsumer::Grant(std::size_t credits) {
  {
    const std::lock_guard lock(mail_mutex_);
    mail_.credits += credits;
    mail_.news = true;
  }
  wake_();
}

void NatsConsumer::Settle(const std::vector<Settlement>& settlements) {
  {
    const std::lock_guard lock(mail_mutex_);
    mail_.settlements.insert(mail_.settlements.end(), settlements.begin(), settlements.end());
    mail_.news = true;
  }
  wake_();
}

void NatsConsumer::Extend(const std::vector<EventToken>& tokens) {
  {
    const std::lock_guard lock(mail_mutex_);
    // One that was not taken yet is as good: the server is away.
    if (mail_.extended.empty()) mail_.extended = tokens;
    mail_.news = true;
  }
  wake_();
}

void NatsConsumer::Quiesce() {
  {
    const std::lock_guard lock(mail_mutex_);
    mail_.quiet = true;
    mail_.news = true;
  }
  wake_();
}

void NatsConsumer::Stop(std::chrono::steady_clock::time_point deadline) {
  {
    std::unique_lock lock(mail_mutex_);
    mail_.quiet = mail_.stopping = true;
    mail_.deadline = deadline;
    mail_.news = true;
    wake_();
    // With nothing to send, a server that is away is not waited for.
    ended_changed_.wait_until(
        lock, deadline, [this] { return ended_ || (away_ && unsent_ == 0 && mail_.settlements.empty()); });
    detached_ = true;
  }
  Attach(nullptr);
  wake_();
}

bool NatsConsumer::detached() const {
  const std::lock_guard lock(mail_mutex_);
  return detached_;
}

void NatsConsumer::TurnIfDue(base::MonotonicTime now, std::optional<base::MonotonicTime>& next) {
  if (IsDue(now)) turn_at_ = Turn(now);
  if (turn_at_) Earliest(next, *turn_at_);
}

bool NatsConsumer::IsDue(base::MonotonicTime now) const {
  if ((turn_at_ && *turn_at_ <= now) || !collected_.empty()) return true;
  const std::lock_guard lock(mail_mutex_);
  return mail_.news;
}

void NatsConsumer::OnConnected(NatsWire* wire, base::MonotonicTime now) {
  wire_ = wire;
  {
    const std::lock_guard lock(mail_mutex_);
    away_ = false;
  }
  if (quiet_) {
    drained_ = true;  // what is left to do needs no inbox
  } else {
    Listen(now);
    StartRequest(Ask::kInfo, now);
  }
  turn_at_ = now;
}

void NatsConsumer::OnDisconnected(const absl::Status& why) {
  wire_ = nullptr;
  subscription_ = 0;
  request_.reset();
  ask_at_.reset();
  ready_ = false;
  Forget();
  if (quiet_) drained_ = true;
  {
    const std::lock_guard lock(mail_mutex_);
    away_ = true;
  }
  ended_changed_.notify_all();
  TellHealth(why);
  TellBacklog({});
}

void NatsConsumer::Listen(base::MonotonicTime now) {
  Forget();
  if (subscription_ != 0) wire_->Unsubscribe(subscription_);
  inbox_ = NewInbox(settings_.inbox_prefix);
  const absl::StatusOr<std::uint64_t> subscription = wire_->Subscribe(inbox_ + ".*");
  // That the connection is over is told by itself.
  subscription_ = subscription.ok() ? *subscription : 0;
  heard_ = now;
}

void NatsConsumer::Forget() {
  credits_ += remaining_;
  remaining_ = 0;
}

void NatsConsumer::StartRequest(Ask what, base::MonotonicTime now) {
  ask_at_.reset();
  Request request{.what = what,
                  .subject = {},
                  .reply = fmt::format("{}.r{}", inbox_, ++requests_),
                  .deadline = now + kRequestTimeout};
  std::string body;
  switch (what) {
    case Ask::kInfo:
      request.subject = ConsumerInfoSubject(settings_);
      break;
    case Ask::kCreate:
    case Ask::kUpdate: {
      // One that was deleted is made anew from where it was.
      std::uint64_t from = next_sequence_;
      for (const auto& [token, unsettled] : unsettled_) {
        if (from > 0) from = std::min(from, unsettled.sequence);
      }
      request.subject = ConsumerCreateSubject(settings_);
      body = ConsumerCreateRequest(settings_, from, what == Ask::kUpdate);
      break;
    }
    case Ask::kCreateStream:
      request.subject = StreamCreateSubject(settings_);
      body = StreamCreateRequest(settings_);
      break;
  }
  if (wire_->Publish(request.subject, request.reply, body).ok()) request_ = std::move(request);
}

void NatsConsumer::OnMessage(std::unique_ptr<NatsMessage> message, base::MonotonicTime now) {
  heard_ = now;
  if (message->reply().starts_with("$JS.ACK.")) return OnDelivery(*message, now);
  const std::string_view code = message->Header("Status");
  const bool answers = request_ && message->subject() == request_->reply;
  if (answers && code.empty()) return OnReply(message->data(), now);
  if (answers) {
    return Refuse(absl::UnavailableError(
                      code == "503" ? "JetStream does not answer: it is off, or not ready (503 no responders)"
                                    : fmt::format("JetStream answers {}", code)),
                  now);
  }
  if (!code.empty()) OnStatus(*message, code, now);
}

void NatsConsumer::OnReply(std::string_view data, base::MonotonicTime now) {
  const Ask asked = request_->what;
  request_.reset();
  turn_at_ = now;
  if (asked == Ask::kCreateStream) {
    const absl::Status made = ReadAnswer(data);
    return made.ok() ? StartRequest(Ask::kInfo, now)
                     : Refuse(base::WithContext(made, "making stream " + settings_.stream), now);
  }
  const absl::StatusOr<NatsConsumerInfo> info = ReadConsumerInfo(data);
  if (info.ok()) return OnConsumer(*info, now);
  if (IsNoStream(info.status())) {
    next_sequence_ = 0;  // another of that name counts from 1
    if (!settings_.create_subjects.empty()) return StartRequest(Ask::kCreateStream, now);
    return Refuse(base::WithContext(info.status(), "stream " + settings_.stream), now);
  }
  if (absl::IsNotFound(info.status()) && asked == Ask::kInfo) {
    ready_ = false;
    return StartRequest(Ask::kCreate, now);
  }
  Refuse(base::WithContext(info.status(),
                           fmt::format("consumer {} of stream {}", settings_.consumer, settings_.stream)),
         now);
}

void NatsConsumer::OnConsumer(const NatsConsumerInfo& info, base::MonotonicTime now) {
  const absl::Status usable = CheckConsumer(settings_, info);
  if (absl::IsAborted(usable)) return StartRequest(Ask::kUpdate, now);
  if (!usable.ok()) return Refuse(usable, now);
  info_ = info;
  ready_ = true;
  refusals_ = 0;
  pending_ = info.pending;
  others_ = info.ack_pending - std::min<std::uint64_t>(info.ack_pending, unsettled_.size());
  poll_at_ = now + kPoll;
  TellHealth(absl::OkStatus());
  TellBacklog(now);
}

void NatsConsumer::OnStatus(const NatsMessage& message, std::string_view code, base::MonotonicTime now) {
  if (code == "100") return;
  turn_at_ = now;
  const std::string description(message.Header("Description"));
  if (code == "503" || description.find("Consumer Deleted") != std::string::npos ||
      description.find("push based") != std::string::npos) {
    ready_ = false;
    Listen(now);
    return AskAgain(now + (code == "503" ? kPause : 0ms));
  }
  if (code == "400" || description.find("Exceeded Max") != std::string::npos)
    return Refuse(absl::FailedPreconditionError(fmt::format("{} ({})", description, code)), now);
  // 404, 408, 409: the pull is over, without what it still asked for.
  const std::string_view pending = message.Header("Nats-Pending-Messages");
  std::size_t left = 0;
  const auto [end, error] = std::from_chars(pending.data(), pending.data() + pending.size(), left);
  if (pending.empty() || error != std::errc()) return Listen(now);
  left = std::min(left, remaining_);
  remaining_ -= left;
  credits_ += left;
  // Others, such as "Batch Completed", are no reason to wait.
  if (description.find("Leadership") != std::string::npos ||
      description.find("Shutdown") != std::string::npos)
    pull_not_before_ = now + kPause;
}

void NatsConsumer::OnDelivery(const NatsMessage& message, base::MonotonicTime now) {
  const std::optional<NatsDelivery> delivery = ReadDelivery(message.reply());
  if (!delivery) return;
  turn_at_ = now;
  if (quiet_ || remaining_ == 0) {
    outgoing_.emplace_back(std::string(message.reply()), NakPayload(0ns));
    return;
  }
  --remaining_;
  pending_ = delivery->pending;
  if (delivery->deliveries > 1 && others_ > 0) --others_;
  next_sequence_ = std::max(next_sequence_, delivery->stream_sequence + 1);
  SourceEvent event = EventOf(message, *delivery);
  event.token = next_token_++;
  unsettled_bytes_ += event.body.size();
  unsettled_.emplace(event.token, Unsettled{.ack = std::string(message.reply()),
                                            .sequence = delivery->stream_sequence,
                                            .bytes = event.body.size()});
  collected_.push_back(std::move(event));
}

void NatsConsumer::OnDrained(std::uint64_t subscription) {
  if (subscription == subscription_ && draining_) drained_ = true;
  turn_at_ = base::MonotonicTime{};
}

void NatsConsumer::OnComplaint(const std::string& text, base::MonotonicTime now) {
  const auto names = [&](std::string_view subject) {
    return !subject.empty() && text.find(subject) != std::string::npos;
  };
  const bool ours = (request_ && names(request_->subject)) || names(inbox_) ||
                    names(NextSubject(settings_)) ||
                    names(fmt::format("$JS.ACK.{}.{}.", settings_.stream, settings_.consumer));
  if (ours) Refuse(absl::PermissionDeniedError(text), now);
}

void NatsConsumer::Refuse(const absl::Status& why, base::MonotonicTime now) {
  ready_ = false;
  request_.reset();
  if (remaining_ > 0) Listen(now);
  AskAgain(now + base::JitteredBackoff(++refusals_, kFirstRefusal, kLongestRefusal));
  TellHealth(why);
  TellBacklog(now);
}

void NatsConsumer::AskAgain(base::MonotonicTime at) {
  ask_at_ = at;
  turn_at_ = turn_at_ ? std::min(*turn_at_, at) : at;
}

void NatsConsumer::TakeMail() {
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
  extending_ = std::move(mail.extended);
}

void NatsConsumer::TakeSettlement(const Settlement& settlement) {
  const auto found = unsettled_.find(settlement.token);
  if (found == unsettled_.end()) return;
  outgoing_.emplace_back(std::move(found->second.ack),
                         settlement.how == Settled::kReleased
                             ? NakPayload(quiet_ ? 0ns : std::chrono::nanoseconds(kReleased))
                             : "+ACK");
  unsettled_bytes_ -= found->second.bytes;
  unsettled_.erase(found);
}

void NatsConsumer::Send() {
  if (wire_ == nullptr) return;
  std::size_t sent = 0;
  while (sent < outgoing_.size() && wire_->Publish(outgoing_[sent].first, "", outgoing_[sent].second).ok())
    ++sent;
  sent_ = sent_ || sent > 0;
  outgoing_.erase(outgoing_.begin(), outgoing_.begin() + static_cast<std::ptrdiff_t>(sent));
  for (const EventToken token : std::exchange(extending_, {})) {
    const auto found = unsettled_.find(token);
    if (found != unsettled_.end() && !wire_->Publish(found->second.ack, "", "+WPI").ok()) break;
  }
  const std::lock_guard lock(mail_mutex_);
  unsent_ = outgoing_.size();
}

void NatsConsumer::PushCollected() {
  if (collected_.empty()) return;
  const std::lock_guard lock(sink_mutex_);
  if (sink_ != nullptr) sink_->Push(std::exchange(collected_, {}));
  collected_.clear();
}

void NatsConsumer::Pull(base::MonotonicTime now) {
  if (!ready_ || quiet_ || subscription_ == 0 || credits_ == 0 || remaining_ >= credits_) return;
  if (unsettled_bytes_ >= kMostBytes || now < pull_not_before_) return;
  std::size_t batch = credits_;
  if (info_.max_batch > 0) batch = std::min<std::size_t>(batch, info_.max_batch);
  std::chrono::nanoseconds expires = kExpires;
  if (info_.max_expires.count() > 0) expires = std::min(expires, info_.max_expires);
  const std::chrono::nanoseconds heartbeat = std::min<std::chrono::nanoseconds>(kHeartbeat, expires / 2);
  if (!wire_
           ->Publish(NextSubject(settings_), inbox_ + ".p",
                     NextRequest(batch, kPullBytes, expires, heartbeat))
           .ok())
    return;
  if (remaining_ == 0) heard_ = now;
  credits_ -= batch;
  remaining_ += batch;
}

std::optional<base::MonotonicTime> NatsConsumer::Turn(base::MonotonicTime now) {
  std::optional<base::MonotonicTime> next;
  TakeMail();
  Send();
  PushCollected();
  if (wire_ != nullptr && !quiet_) {
    if (request_ && now >= request_->deadline) {
      Refuse(absl::UnavailableError(fmt::format("JetStream did not answer {} within {} s", request_->subject,
                                                std::chrono::seconds(kRequestTimeout).count())),
             now);
    }
    if (remaining_ > 0 && now >= heard_ + kLost) Listen(now);
    if (!request_ && ask_at_ && now >= *ask_at_) StartRequest(Ask::kInfo, now);
    Pull(now);
    const bool polls = ready_ && (Waiting() > 0 || remaining_ == 0);
    if (polls && !request_ && now >= poll_at_) StartRequest(Ask::kInfo, now);
    if (request_) Earliest(next, request_->deadline);
    if (ask_at_) Earliest(next, *ask_at_);
    if (remaining_ > 0) Earliest(next, heard_ + kLost);
    if (polls && !request_) Earliest(next, poll_at_);
    if (ready_ && now < pull_not_before_) Earliest(next, pull_not_before_);
  }
  if (quiet_ && wire_ != nullptr && subscription_ != 0 && !draining_) {
    draining_ = true;
    wire_->Drain(subscription_);
  }
  TellBacklog(now);
  if (const auto due = told_backlog_.Due(Told())) Earliest(next, *due);
  EndIfDone();
  return next;
}

void NatsConsumer::EndIfDone() {
  if (!stopping_ || !outgoing_.empty() || (wire_ != nullptr && subscription_ != 0 && !drained_)) return;
  if (wire_ != nullptr && sent_) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline_ - std::chrono::steady_clock::now());
    // If it fails, the connection is over, and what was on its way comes again.
    (void)wire_->Flush(std::clamp<std::chrono::milliseconds>(left, 1ms, kFlush));
    sent_ = false;
  }
  {
    const std::lock_guard lock(mail_mutex_);
    ended_ = true;
  }
  ended_changed_.notify_all();
}

std::uint64_t NatsConsumer::Waiting() const { return pending_ + others_ + unsettled_.size(); }

Backlog NatsConsumer::Told() const { return ready_ ? Backlog::Of(Waiting()) : Backlog::Unknown(); }

void NatsConsumer::TellBacklog(base::MonotonicTime now) {
  const Backlog backlog = Told();
  if (!told_backlog_.Take(backlog, now)) return;
  const std::lock_guard lock(sink_mutex_);
  if (sink_ != nullptr) sink_->SetBacklog(backlog);
}

void NatsConsumer::TellHealth(const absl::Status& health) {
  if (told_health_ == health) return;
  told_health_ = health;
  const std::lock_guard lock(sink_mutex_);
  if (sink_ != nullptr) sink_->SetHealth(base::WithContext(health, "nats"));
}

}  // namespace mayfly::gateway
