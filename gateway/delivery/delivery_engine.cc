#include "gateway/delivery/delivery_engine.h"

#include <sys/random.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/thread.h"
#include "gateway/delivery/destinations.h"
#include "proto/stable_bytes.h"

namespace mayfly::gateway {
namespace {

constexpr std::chrono::seconds kCountEvery{1};
// How long a source may take to send what was settled, when its trigger goes.
constexpr std::chrono::seconds kSourceEnds{10};
// How long after the end's deadline what was given back may take to be told.
constexpr std::chrono::milliseconds kLastWords{500};
constexpr std::chrono::hours kLong{1};
// Results of one function that are posted to URLs at once.
constexpr std::size_t kMostToUrls = 16;

// What a source is made of; a change of anything else needs no new one.
std::string Settings(v1::EventTrigger trigger) {
  trigger.clear_batch();
  trigger.clear_order_by();
  trigger.clear_max_in_flight();
  trigger.clear_retry();
  trigger.clear_owner();
  trigger.clear_owner_instance();
  trigger.clear_cursor();
  return v1::StableBytes(trigger);
}

void SetUrlRoute(const v1::FunctionRoute& route, FunctionSlots* slots) {
  auto copy = std::make_shared<v1::FunctionRoute>(route);
  copy->clear_unavailable();
  slots->SetRoute(std::move(copy));
  slots->limit = kMostToUrls;
}

}  // namespace

DeliveryEngine::DeliveryEngine(DeliveryOptions options, Dispatcher& dispatcher, EventStore* store,
                               SourceFactories factories, const base::Clock& clock, base::Metrics& metrics)
    : context_{dispatcher, store, clock, options},
      factories_(std::move(factories)),
      metrics_(metrics),
      janitor_(
          base::StartThread("event-janitor", [this](const std::stop_token& stop) { RunJanitor(stop); })) {
  context_.on_due = [this](const TriggerKey& key) { OnDue(key); };
  context_.random = options.seed;
  if (options.seed == 0 && ::getrandom(&context_.random, sizeof context_.random, 0) < 0) context_.random = 1;
  if (store != nullptr) {
    store->OnDue(
        [this, inbox = context_.inbox](const TriggerKey& key) { inbox->Post([this, key] { OnDue(key); }); });
  }
}

DeliveryEngine::~DeliveryEngine() { Stop(std::chrono::steady_clock::now()); }

void DeliveryEngine::Start() {
  thread_ = base::StartThread("events", [this](const std::stop_token& stop) { Run(stop); });
}

void DeliveryEngine::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const std::optional<base::MonotonicTime> next = Turn();
    context_.inbox->Wait(context_.clock, stop, next.value_or(context_.clock.Now() + kLong));
  }
}

void DeliveryEngine::Apply(const v1::RouteUpdate& update) {
  context_.inbox->Post([this, copy = std::make_shared<v1::RouteUpdate>(update)] { OnUpdate(*copy); });
}

void DeliveryEngine::Accept(NewEvent event, EventStore::Callback<Accepted> done) {
  if (context_.store == nullptr) {
    done(absl::FailedPreconditionError("this gateway has no event store"));
    return;
  }
  const TriggerKey key = event.trigger;
  context_.store->Accept(std::move(event), [this, key, inbox = context_.inbox,
                                            done = std::move(done)](absl::StatusOr<Accepted> accepted) {
    if (accepted.ok()) inbox->Post([this, key] { OnDue(key); });
    done(std::move(accepted));
  });
}

void DeliveryEngine::Cancel(const std::string& record, EventStore::Done done) {
  if (context_.store == nullptr) {
    done(absl::NotFoundError("this gateway has no event store"));
    return;
  }
  context_.store->Cancel(
      record, [this, record, inbox = context_.inbox, done = std::move(done)](const absl::Status& status) {
        if (!absl::IsFailedPrecondition(status)) {
          done(status);
          return;
        }
        inbox->Post([this, record, done] {
          for (TriggerDelivery* trigger : Everyone()) {
            if (trigger->Cancel(record)) return done(absl::OkStatus());
          }
          done(absl::NotFoundError(absl::StrCat("event ", record, " has its outcome already")));
        });
      });
}

void DeliveryEngine::Running(std::function<void(std::set<std::string>)> done) {
  context_.inbox->Post([this, done = std::move(done)] {
    std::set<std::string> records;
    for (const TriggerDelivery* trigger : Everyone()) trigger->AddRunning(records);
    done(std::move(records));
  });
}

std::vector<TriggerDelivery*> DeliveryEngine::Everyone() const {
  std::vector<TriggerDelivery*> all;
  for (const auto& [name, function] : functions_) {
    for (const auto& [trigger, delivery] : function.triggers) all.push_back(delivery.get());
  }
  for (const Retired& retired : retired_) all.push_back(retired.trigger.get());
  return all;
}

void DeliveryEngine::OnUpdate(const v1::RouteUpdate& update) {
  if (stopping_) return;
  const base::MonotonicTime now = context_.clock.Now();
  EndTerms(now);
  leases_.OnUpdate(update, now);
  if (update.snapshot()) {
    std::set<std::string> kept;
    for (const v1::FunctionRoute& route : update.upsert()) kept.insert(route.function());
    std::vector<std::string> gone;
    for (const auto& [name, function] : functions_) {
      if (!kept.contains(name)) gone.push_back(name);
    }
    // Nobody has said what became of them.
    for (const std::string& name : gone) RemoveFunction(name, false);
  }
  for (const std::string& name : update.remove()) RemoveFunction(name, true);
  for (const v1::FunctionRoute& route : update.upsert()) SetFunction(route);
  if (update.has_lease()) StartAwaited();
}

void DeliveryEngine::SetFunction(const v1::FunctionRoute& route) {
  const auto stored = stored_.lower_bound({route.function(), ""});
  const bool has_stored = stored != stored_.end() && stored->function == route.function();
  if (route.triggers().empty() && !has_stored && !functions_.contains(route.function())) {
    // Most functions have no events: what is needed is made when the first one comes.
    functions_[route.function()].slots->function = route.function();
  }
  Function& function = functions_[route.function()];
  function.slots->function = route.function();
  function.slots->SetRoute(std::make_shared<const v1::FunctionRoute>(route));
  if (function.urls != nullptr) SetUrlRoute(route, function.urls.get());
  function.wanted.clear();
  for (const v1::EventTrigger& trigger : route.triggers()) function.wanted[trigger.name()] = trigger;
  std::vector<std::string> changed;
  for (const auto& [name, settings] : function.running) {
    const auto wanted = function.wanted.find(name);
    if (wanted == function.wanted.end() || Settings(wanted->second) != settings ||
        (LeaseKeeper::IsLeased(wanted->second) && !leases_.IsOurs(wanted->second)))
      changed.push_back(name);
  }
  const auto deleted = [&](const std::string& name) {
    return !function.wanted.contains(name) &&
           std::find(route.withheld().begin(), route.withheld().end(), name) == route.withheld().end();
  };
  for (const std::string& name : changed) {
    const auto wanted = function.wanted.find(name);
    RetireTrigger(function, name, deleted(name),
                  wanted != function.wanted.end() && IsLost({route.function(), name}, wanted->second));
  }
  for (const auto& [name, trigger] : function.wanted) {
    if (LeaseKeeper::IsLeased(trigger)) leases_.Ask();
    if (IsLost({route.function(), name}, trigger)) LoseRetired({route.function(), name});
    if (!function.running.contains(name)) StartTrigger(function, name);
  }
  for (const auto& [name, delivery] : function.triggers) {
    const auto wanted = function.wanted.find(name);
    delivery->SetPolicy(wanted == function.wanted.end() ? v1::EventTrigger() : wanted->second, route.retry());
  }
  for (auto key = stored; key != stored_.end() && key->function == route.function(); ++key)
    TriggerOf(function, *key).OnDue();
}

void DeliveryEngine::RemoveFunction(const std::string& name, bool deleted) {
  const auto found = functions_.find(name);
  if (found == functions_.end()) return;
  Function& function = found->second;
  function.wanted.clear();
  std::vector<std::string> all;
  for (const auto& [trigger, delivery] : function.triggers) all.push_back(trigger);
  for (const std::string& trigger : all) RetireTrigger(function, trigger, deleted);
  function.slots->SetRoute(nullptr);
  if (function.urls != nullptr) function.urls->SetRoute(nullptr);
  functions_.erase(found);
}

TriggerDelivery& DeliveryEngine::TriggerOf(Function& function, const TriggerKey& key) {
  std::shared_ptr<TriggerDelivery>& delivery = function.triggers[key.trigger];
  if (delivery == nullptr) {
    if (GoesToUrl(key.trigger) && function.urls == nullptr) {
      function.urls = std::make_shared<FunctionSlots>();
      function.urls->function = key.function;
      SetUrlRoute(*function.slots->route, function.urls.get());
    }
    delivery = std::make_shared<TriggerDelivery>(context_, key,
                                                 GoesToUrl(key.trigger) ? function.urls : function.slots);
    const auto wanted = function.wanted.find(key.trigger);
    delivery->SetPolicy(wanted == function.wanted.end() ? v1::EventTrigger() : wanted->second,
                        function.slots->route->retry());
  }
  return *delivery;
}

void DeliveryEngine::RetireTrigger(Function& function, const std::string& name, bool deleted, bool lost) {
  function.running.erase(name);
  const TriggerKey key{function.slots->function, name};
  if (lost) leases_.Lost(key);
  auto entry = function.triggers.extract(name);
  if (entry.empty()) return leases_.Ended(key);
  std::shared_ptr<TriggerDelivery> delivery = std::move(entry.mapped());
  if (delivery->state().has_source) {
    ending_.insert(key);
  } else {
    leases_.Ended(key);
  }
  const auto wanted = function.wanted.find(name);
  if (wanted == function.wanted.end() ||
      (LeaseKeeper::IsLeased(wanted->second) && !leases_.IsOurs(wanted->second)))
    reporter_.Gone(key);
  delivery->Retire(deleted);
  if (lost) delivery->Lose();
  retired_.push_back({std::move(delivery)});
}

SourceFactory* DeliveryEngine::FactoryOf(const v1::EventTrigger& trigger) {
  for (const auto& factory : factories_) {
    if (factory->kind() == trigger.source_case()) return factory.get();
  }
  return nullptr;
}

void DeliveryEngine::StartTrigger(Function& function, const std::string& name) {
  const TriggerKey key{function.slots->function, name};
  if (stopping_) return;
  const v1::EventTrigger trigger = function.wanted.at(name);
  if (!leases_.MayBegin(key, trigger, context_.clock.Now())) return leases_.Await(key, trigger);
  if (LeaseKeeper::IsLeased(trigger)) leases_.Begun(key, trigger.epoch());
  if (ending_.contains(key)) return;
  function.running[name] = Settings(trigger);
  if (context_.store == nullptr) {
    MakeSource(function, key, trigger, trigger.cursor());
    return;
  }
  context_.store->ReadCursor(
      key, [this, key, trigger, inbox = context_.inbox](const absl::StatusOr<std::string>& cursor) {
        inbox->Post([this, key, trigger, cursor] {
          const auto found = functions_.find(key.function);
          if (stopping_ || found == functions_.end()) return;
          const auto running = found->second.running.find(key.trigger);
          if (running == found->second.running.end() || running->second != Settings(trigger)) return;
          if (!cursor.ok()) {
            TriggerOf(found->second, key).SetHealth(cursor.status());
            return;
          }
          MakeSource(found->second, key, trigger, cursor->empty() ? trigger.cursor() : *cursor);
        });
      });
}

void DeliveryEngine::MakeSource(Function& function, const TriggerKey& key, const v1::EventTrigger& trigger,
                                const std::string& cursor) {
  TriggerDelivery& delivery = TriggerOf(function, key);
  if (delivery.state().has_source) return;
  absl::Status status;
  SourceFactory* const factory = FactoryOf(trigger);
  if (factory == nullptr) {
    status = absl::UnimplementedError("this version of the gateway serves no triggers of this kind");
  } else {
    SourceContext context;
    context.key = key;
    context.cursor = cursor;
    context.epoch = trigger.epoch();
    context.clock = &context_.clock;
    absl::StatusOr<std::unique_ptr<EventSource>> source = factory->Make(trigger, context);
    if (!source.ok()) {
      status = source.status();
    } else if (context_.store == nullptr && !(*source)->traits().durable) {
      status = absl::FailedPreconditionError(
          "this gateway keeps no events, which a trigger of this kind needs: start it with --events FOLDER, "
          "or install "
          "the chart with gateway.events.enabled=true");
    } else {
      status = delivery.StartSource(*std::move(source));
    }
  }
  if (status.ok()) return;
  delivery.SetHealth(status);
  base::log::Error(
      "a trigger gets no events",
      {{"function", key.function}, {"trigger", key.trigger}, {"why", std::string(status.message())}});
}

void DeliveryEngine::OnDue(const TriggerKey& key) {
  changed_ = true;
  stored_.insert(key);
  const auto found = functions_.find(key.function);
  if (found != functions_.end() && !stopping_) TriggerOf(found->second, key).OnDue();
}

void DeliveryEngine::Tell(const TriggerDelivery& trigger) {
  // What goes to URLs brings no replicas.
  if (trigger.retiring() || GoesToUrl(trigger.key().trigger)) return;
  const auto counts = counts_.find(trigger.key());
  auto report = trigger.Report(counts == counts_.end() ? 0 : counts->second.pending);
  if (report) reporter_.Look(trigger.key(), *std::move(report));
}

std::optional<base::MonotonicTime> DeliveryEngine::Turn() {
  // First of all: what is in the inbox may be late.
  EndTerms(context_.clock.Now());
  for (const std::function<void()>& task : context_.inbox->TakeAll()) task();
  const base::MonotonicTime now = context_.clock.Now();
  for (auto timer = timers_.begin(); timer != timers_.end();) {
    if (timer->second <= now) {
      context_.dirty.insert(timer->first);
      timer = timers_.erase(timer);
    } else {
      ++timer;
    }
  }
  // What one does may be of interest to others of its function.
  constexpr int kMostRounds = 16;
  for (int round = 0; round < kMostRounds && !context_.dirty.empty(); ++round) {
    changed_ = true;
    const std::set<TriggerDelivery*> dirty = std::exchange(context_.dirty, {});
    for (TriggerDelivery* trigger : dirty) {
      const std::optional<base::MonotonicTime> next = trigger->Pump(now);
      timers_.erase(trigger);
      if (next) timers_[trigger] = *next;
    }
    for (TriggerDelivery* trigger : dirty) {
      trigger->Flush();
      Tell(*trigger);
    }
  }
  CollectRetired();
  AskCounts(now);
  std::optional<base::MonotonicTime> next = reporter_.Send(now);
  // After what is told of the triggers: how far they were when they were let go.
  if (const auto at = TellLeases(now); at && (!next || *at < *next)) next = at;
  if (!context_.dirty.empty()) next = now;
  for (const auto& [trigger, at] : timers_) {
    if (!next || at < *next) next = at;
  }
  if (changed_ && !counting_ && (!next || count_at_ < *next)) next = count_at_;
  return next;
}

void DeliveryEngine::CollectRetired() {
  for (auto retired = retired_.begin(); retired != retired_.end();) {
    if (!retired->heard) {
      // That may be in the inbox yet.
      retired->heard = true;
      context_.inbox->Post([] {});
      ++retired;
      continue;
    }
    if (retired->ending || !retired->trigger->idle()) {
      ++retired;
      continue;
    }
    if (std::unique_ptr<EventSource> source = retired->trigger->TakeSource()) {
      retired->ending = true;
      const std::lock_guard lock(janitor_mutex_);
      endings_.push_back(
          {std::move(source), retired->trigger, std::chrono::steady_clock::now() + kSourceEnds});
      janitor_changed_.notify_all();
      ++retired;
      continue;
    }
    // What it has counted is not forgotten.
    const TriggerState state = retired->trigger->state();
    TriggerState& sum = gone_[state.key];
    sum.key = state.key;
    sum.accepted += state.accepted;
    sum.settled += state.settled;
    sum.parked += state.parked;
    sum.duplicates += state.duplicates;
    sum.released += state.released;
    sum.lost += state.lost;
    sum.retries += state.retries;
    timers_.erase(retired->trigger.get());
    retired = retired_.erase(retired);
    const bool ends = ending_.erase(state.key) > 0;
    const auto function = functions_.find(state.key.function);
    if (ends && function != functions_.end() && function->second.wanted.contains(state.key.trigger) &&
        !function->second.running.contains(state.key.trigger)) {
      StartTrigger(function->second, state.key.trigger);
    }
    if (ends && (function == functions_.end() || !function->second.running.contains(state.key.trigger)))
      leases_.Ended(state.key);
  }
}

void DeliveryEngine::RunJanitor(const std::stop_token& stop) {
  for (;;) {
    std::vector<Ending> endings;
    {
      std::unique_lock lock(janitor_mutex_);
      janitor_changed_.wait(lock, stop, [this] { return !endings_.empty(); });
      if (endings_.empty()) return;
      endings.swap(endings_);
    }
    for (Ending& ending : endings) {
      ending.source->Stop(ending.deadline);
      ending.source.reset();
      context_.inbox->Post([this, trigger = std::move(ending.trigger)] {
        for (Retired& retired : retired_) {
          if (retired.trigger == trigger) retired.ending = false;
        }
      });
    }
  }
}

void DeliveryEngine::AskCounts(base::MonotonicTime now) {
  if (!changed_ || counting_ || now < count_at_) return;
  changed_ = false;
  // What comes next after the beginning is told without delay.
  if (std::exchange(asked_, true)) count_at_ = now + kCountEvery;
  if (context_.store == nullptr) {
    Publish();
    return;
  }
  counting_ = true;
  context_.store->Counts([this, inbox = context_.inbox](absl::StatusOr<std::vector<TriggerCounts>> counts) {
    inbox->Post([this, counts = std::move(counts)] {
      counting_ = false;
      if (!counts.ok()) return;
      for (const TriggerCounts& of : *counts) counts_[of.trigger] = of;
      Publish();
    });
  });
}

void DeliveryEngine::Stop(std::chrono::steady_clock::time_point deadline) {
  if (!janitor_.joinable()) return;
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
  Drain(deadline);
  context_.inbox->Close();
  janitor_.request_stop();
  janitor_.join();
  janitor_ = {};
  functions_.clear();
  retired_.clear();
}

bool DeliveryEngine::Drained() const { return retired_.empty() && context_.inbox->empty(); }

void DeliveryEngine::Drain(std::chrono::steady_clock::time_point deadline) {
  // On the thread of whoever stops: the engine's own is gone.
  stopping_ = true;
  leases_.StopAsking();
  while (!functions_.empty()) RemoveFunction(std::string(functions_.begin()->first), false);
  bool abandoned = false;
  const base::RealClock clock;
  for (;;) {
    Turn();
    const auto now = clock.Now();
    if (Drained()) return;
    if (now >= deadline && !abandoned) {
      abandoned = true;
      for (const Retired& retired : retired_) retired.trigger->Abandon();
      continue;
    }
    if (now >= deadline + kLastWords + (abandoned ? kSourceEnds / 10 : kSourceEnds)) return;
    context_.inbox->Wait(
        clock, {}, std::min(now + std::chrono::milliseconds(100), abandoned ? now + kLastWords : deadline));
  }
}

}  // namespace mayfly::gateway
