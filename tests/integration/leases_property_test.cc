// What leases promise in every world: of one trigger there are never two owners, and never none for long.
//
// The operator's book and the gateways' keepers are the real ones. Between them are streams that stall, lose what is under way and
// come back; gateways stop for a while and go on, die and start anew; operators die, and the next one knows nothing; every
// process has a clock of its own, which is a little fast or slow. Triggers are deleted and made again meanwhile.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gateway/delivery/lease_keeper.h"
#include "operator/leases/lease_book.h"

namespace mayfly {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

// Not rapidcheck's own numbers: a world takes some hundred thousand.
std::mt19937_64 random_numbers;

// From `low` on, below `high`.
int Pick(int low, int high) {
  return low + static_cast<int>(random_numbers() % static_cast<std::uint64_t>(high - low));
}

constexpr milliseconds kStep{20};
constexpr char kFunction[] = "default/f";

// A process's own time: it begins anywhere, and runs by up to a hundredth too fast or too slow.
class OwnClock {
 public:
  explicit OwnClock(milliseconds world) : since_(world), begin_(std::chrono::hours(Pick(1, 1000))) {
    per_mille_ = Pick(990, 1011);
  }
  base::MonotonicTime At(milliseconds world) const { return begin_ + (world - since_) * per_mille_ / 1000; }

 private:
  milliseconds since_;
  base::MonotonicTime begin_;
  int per_mille_;
};

template <typename Message>
class Wire {
 public:
  void Send(Message message, milliseconds at) {
    // In order, whatever each one takes.
    last_ = std::max(last_, at);
    messages_.emplace_back(last_, std::move(message));
  }
  std::optional<Message> Take(milliseconds now) {
    if (messages_.empty() || messages_.front().first > now) return std::nullopt;
    Message message = std::move(messages_.front().second);
    messages_.pop_front();
    return message;
  }
  void Cut() { messages_.clear(); }

 private:
  milliseconds last_{};
  std::deque<std::pair<milliseconds, Message>> messages_;
};

struct Stream {
  Wire<v1::GatewayReport> up;
  Wire<v1::RouteUpdate> down;
  bool known = false;  // the operator has taken in the first report
  milliseconds stalled_until{};
};

// The gateway's engine, as far as leases go: sources that begin, end slowly or at once.
class GatewayProcess {
 public:
  GatewayProcess(const std::string& name, int instance, milliseconds now)
      : name_(name), instance_(std::to_string(instance)), clock_(now) {
    keeper_.SetName(name_, instance_, static_cast<std::uint64_t>(instance) * 1'000'000);
  }

  // Everything that it does at an instant: what is late ends before anything else.
  void Turn(milliseconds world) {
    const base::MonotonicTime now = clock_.At(world);
    EndTerms(now);
    for (auto drain = draining_.begin(); drain != draining_.end();) {
      if (drain->second > world) {
        ++drain;
        continue;
      }
      const std::string name = drain->first;
      drain = draining_.erase(drain);
      const auto again = wanted_.find(name);
      if (again != wanted_.end()) Begin(name, again->second, now);
      if (!running_.contains(name)) keeper_.Ended({kFunction, name});
    }
    while (stream && stream->stalled_until <= world) {
      const auto update = stream->down.Take(world);
      if (!update) break;
      OnUpdate(*update, world, now);
    }
    const auto news = keeper_.Tell(now);
    if (news) {
      last_.mutable_leases()->CopyFrom(news->held);
      last_.set_lease_probe(news->probe);
    }
    if (stream && (news || !std::exchange(told_, true))) {
      v1::GatewayReport report = last_;
      report.set_gateway(name_);
      report.set_instance(instance_);
      stream->up.Send(std::move(report), world + milliseconds(Pick(0, 60)));
    }
  }

  void Connect(std::shared_ptr<Stream> to) {
    stream = std::move(to);
    told_ = false;
  }

  // Whose source of `trigger` does something at this instant.
  bool Runs(const std::string& trigger, milliseconds world) const {
    return (running_.contains(trigger) || draining_.contains(trigger)) &&
           keeper_.held().contains({kFunction, trigger}) && keeper_.TermRuns(clock_.At(world));
  }

  std::shared_ptr<Stream> stream;
  milliseconds stopped_until{};

 private:
  void EndTerms(base::MonotonicTime now) {
    if (keeper_.TermRuns(now)) return;
    for (const auto& [key, epoch] : std::map(keeper_.held())) Lose(key.trigger);
  }
  void Lose(const std::string& name) {
    keeper_.Lost({kFunction, name});
    running_.erase(name);
    draining_.erase(name);
  }
  void OnUpdate(const v1::RouteUpdate& update, milliseconds world, base::MonotonicTime now) {
    EndTerms(now);
    keeper_.OnUpdate(update, now);
    keeper_.Ask();
    if (update.version() > 0 || update.snapshot()) SetRoutes(update, world);
    for (const auto& [name, trigger] : wanted_) Begin(name, trigger, now);
  }
  void SetRoutes(const v1::RouteUpdate& update, milliseconds world) {
    wanted_.clear();
    for (const v1::FunctionRoute& route : update.upsert()) {
      for (const v1::EventTrigger& trigger : route.triggers()) wanted_[trigger.name()] = trigger;
    }
    for (const auto& [key, epoch] : std::map(keeper_.held())) {
      const auto wanted = wanted_.find(key.trigger);
      const bool ours =
          wanted != wanted_.end() && keeper_.IsOurs(wanted->second) && wanted->second.epoch() == epoch;
      if (wanted != wanted_.end() && !ours &&
          (wanted->second.epoch() != epoch || !wanted->second.owner().empty())) {
        Lose(key.trigger);
      } else if (!ours && running_.erase(key.trigger) > 0) {
        draining_[key.trigger] = world + milliseconds(Pick(0, 500));
      }
    }
  }
  void Begin(const std::string& name, const v1::EventTrigger& trigger, base::MonotonicTime now) {
    if (running_.contains(name)) return;
    if (!keeper_.MayBegin({kFunction, name}, trigger, now)) return keeper_.Await({kFunction, name}, trigger);
    keeper_.Begun({kFunction, name}, trigger.epoch());
    if (!draining_.contains(name)) running_.insert(name);
  }

  const std::string name_;
  const std::string instance_;
  const OwnClock clock_;
  gateway::LeaseKeeper keeper_;
  std::map<std::string, v1::EventTrigger> wanted_;
  std::set<std::string> running_;
  std::map<std::string, milliseconds> draining_;
  v1::GatewayReport last_;
  bool told_ = false;
};

// The operator: the book, and what it has published.
class OperatorProcess {
 public:
  OperatorProcess(std::uint64_t epoch, milliseconds now)
      : clock_(now), book_({.epoch = epoch}, clock_.At(now)) {}

  void Turn(milliseconds world, const std::set<std::string>& wanted) {
    const base::MonotonicTime now = clock_.At(world);
    bool changed = wanted != wanted_ || version_ == 0;
    wanted_ = wanted;
    book_.Want(kFunction, wanted_);
    book_.Balance(now);
    changed = !book_.Decide(now).empty() || changed;
    if (changed) Publish(world);
    for (const auto& stream : streams) {
      while (stream->stalled_until <= world) {
        const auto report = stream->up.Take(world);
        if (!report) break;
        const auto term = book_.Observe(*report, now);
        if (!book_.Decide(now).empty()) Publish(world);
        if (!stream->known && (term || report->lease_probe() == 0)) {
          stream->known = true;
          v1::RouteUpdate snapshot = Routes();
          snapshot.set_snapshot(true);
          if (term) *snapshot.mutable_lease() = *term;
          Send(*stream, std::move(snapshot), world);
        } else if (term) {
          v1::RouteUpdate alone;
          alone.set_epoch(book_.options().epoch);
          *alone.mutable_lease() = *term;
          Send(*stream, std::move(alone), world);
        }
      }
    }
    for (const op::LeaseChange& change : book_.TakeChanges()) {
      std::uint64_t& highest = highest_[change.trigger.trigger];
      RC_ASSERT(change.epoch > highest);
      highest = change.epoch;
    }
  }

  std::set<std::shared_ptr<Stream>> streams;

 private:
  v1::RouteUpdate Routes() const {
    v1::RouteUpdate update;
    update.set_epoch(book_.options().epoch);
    update.set_version(version_);
    v1::FunctionRoute& route = *update.add_upsert();
    route.set_function(kFunction);
    for (const std::string& name : wanted_) {
      const op::TriggerLease lease = book_.Of({kFunction, name});
      v1::EventTrigger& trigger = *route.add_triggers();
      trigger.set_name(name);
      trigger.set_epoch(lease.epoch);
      if (!lease.owner) continue;
      trigger.set_owner(lease.owner->gateway);
      trigger.set_owner_instance(lease.owner->instance);
    }
    return update;
  }
  void Publish(milliseconds world) {
    ++version_;
    book_.Stamped(kFunction);
    book_.Published(kFunction, version_);
    for (const auto& stream : streams) {
      if (stream->known) Send(*stream, Routes(), world);
    }
  }
  static void Send(Stream& stream, v1::RouteUpdate update, milliseconds world) {
    stream.down.Send(std::move(update), world + milliseconds(Pick(0, 60)));
  }

  const OwnClock clock_;
  op::LeaseBook book_;
  std::uint64_t version_ = 0;
  std::set<std::string> wanted_;
  std::map<std::string, std::uint64_t> highest_;
};

class World {
 public:
  World() {
    for (int i = 0; i < kGateways; ++i) Start(i);
    StartOperator();
  }

  void Run(milliseconds time, bool with_faults) {
    for (const milliseconds end = now_ + time; now_ < end; now_ += kStep) {
      if (with_faults && Pick(0, 25) == 0) Fault();
      for (auto& gateway : gateways_) {
        if (gateway->stopped_until > now_) continue;
        if (!gateway->stream && operator_ && Pick(0, 5) == 0) Dial(*gateway);
        gateway->Turn(now_);
      }
      if (operator_) {
        operator_->Turn(now_, wanted_);
      } else if (now_ >= operator_back_) {
        StartOperator();
      }
      for (const char* trigger : kTriggers) RC_ASSERT(Owners(trigger) <= 1);
    }
  }

  int Owners(const std::string& trigger) const {
    int owners = 0;
    for (const auto& gateway : gateways_)
      owners += gateway->stopped_until <= now_ && gateway->Runs(trigger, now_);
    return owners;
  }
  const std::set<std::string>& wanted() const { return wanted_; }

  static constexpr const char* kTriggers[] = {"a", "b", "c", "d"};

 private:
  static constexpr int kGateways = 3;

  void Start(int gateway) {
    auto process = std::make_unique<GatewayProcess>("gateway-" + std::to_string(gateway), ++instances_, now_);
    if (static_cast<int>(gateways_.size()) == gateway) {
      gateways_.push_back(std::move(process));
    } else {
      Hangup(*gateways_[static_cast<std::size_t>(gateway)]);
      gateways_[static_cast<std::size_t>(gateway)] = std::move(process);
    }
  }
  void StartOperator() { operator_ = std::make_unique<OperatorProcess>(++epoch_, now_); }
  void Dial(GatewayProcess& gateway) {
    gateway.Connect(std::make_shared<Stream>());
    operator_->streams.insert(gateway.stream);
  }
  void Hangup(GatewayProcess& gateway) {
    if (operator_) operator_->streams.erase(gateway.stream);
    gateway.stream.reset();
  }

  void Fault() {
    const auto which = static_cast<std::size_t>(Pick(0, kGateways));
    GatewayProcess& gateway = *gateways_[which];
    switch (Pick(0, 7)) {
      case 0:  // SIGSTOP, and later SIGCONT
        gateway.stopped_until = now_ + milliseconds(Pick(0, 8'000));
        break;
      case 1:  // kill -9
        Start(static_cast<int>(which));
        break;
      case 2:
        Hangup(gateway);
        break;
      case 3:  // nothing goes through for a while, and all of it then
        if (gateway.stream) gateway.stream->stalled_until = now_ + milliseconds(Pick(0, 6'000));
        break;
      case 4:  // what is under way is lost, and the stream with it
        if (gateway.stream) gateway.stream->up.Cut();
        Hangup(gateway);
        break;
      case 5:
        if (Pick(0, 4) > 0) break;
        operator_.reset();
        for (auto& each : gateways_) each->stream.reset();
        operator_back_ = now_ + milliseconds(Pick(0, 4'000));
        break;
      default:
        const std::string trigger = kTriggers[Pick(0, 4)];
        if (wanted_.erase(trigger) == 0) wanted_.insert(trigger);
        break;
    }
  }

  milliseconds now_{};
  std::vector<std::unique_ptr<GatewayProcess>> gateways_;
  std::unique_ptr<OperatorProcess> operator_;
  milliseconds operator_back_{};
  std::uint64_t epoch_ = 0;
  int instances_ = 0;
  std::set<std::string> wanted_{"a", "b", "c"};
};

RC_GTEST_PROP(Leases, NeverHaveTwoOwnersAndNeverNoneForLong, (std::uint64_t seed)) {
  random_numbers.seed(seed);
  World world;
  for (int round = 0; round < 3; ++round) {
    world.Run(20s, true);
    // The longest stop, then a term, the quiet of a new operator and the ends of what drains.
    world.Run(20s, false);
    for (const std::string& trigger : world.wanted()) RC_ASSERT(world.Owners(trigger) == 1);
  }
}

}  // namespace
}  // namespace mayfly
