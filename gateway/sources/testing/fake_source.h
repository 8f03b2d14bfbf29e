// A FakeBroker is a queue in memory, and a FakeSource brings its messages: with credits, redelivery and settlements as
// source.h says. It checks what the engine owes a source, and fails the test if it breaks it.
//
// Thread-safe.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gateway/sources/source_factory.h"

namespace mayfly::gateway {

// Outlives every source of it.
class FakeBroker {
 public:
  struct Message {
    std::string id;
    std::string lane;
    std::string body;
  };

  bool durable = true;
  std::chrono::milliseconds lease{0};
  bool fenced = false;
  std::string cursor;    // that its source saves when it begins; "": none
  std::string began_at;  // the cursor that the source was given
  // Told of every settlement, by the message's id.
  std::function<void(const std::string& id, Settled how)> on_settled;

  void Publish(Message message) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(message));
    PushLocked();
  }
  // Hands one that is not settled out a second time, as a broker does that has lost patience.
  void Redeliver() {
    const std::lock_guard lock(mutex_);
    if (out_.empty() || credits_ == 0) return;
    waiting_.push_front(out_.begin()->second);
    PushLocked();
  }
  // So many that were handed out are gone.
  void Lose(std::size_t count) {
    const std::lock_guard lock(mutex_);
    if (sink_ != nullptr) sink_->CountLost(count);
  }
  // Takes back one that is not settled.
  void Revoke() {
    const std::lock_guard lock(mutex_);
    if (sink_ != nullptr && !out_.empty()) sink_->Revoke({out_.begin()->first});
  }
  std::size_t waiting() const {
    const std::lock_guard lock(mutex_);
    return waiting_.size();
  }
  std::size_t unsettled() const {
    const std::lock_guard lock(mutex_);
    return out_.size();
  }
  std::size_t extended() const {
    const std::lock_guard lock(mutex_);
    return extended_;
  }
  bool discarded() const {
    const std::lock_guard lock(mutex_);
    return discarded_;
  }
  bool attached() const {
    const std::lock_guard lock(mutex_);
    return sink_ != nullptr;
  }

 private:
  friend class FakeSource;

  void PushLocked() {
    std::vector<SourceEvent> events;
    while (sink_ != nullptr && !quiet_ && !waiting_.empty() && (credits_ > 0 || !durable)) {
      if (durable) --credits_;
      SourceEvent event;
      event.token = next_token_++;
      event.event.set_id(waiting_.front().id);
      event.event.set_source("/fake");
      event.event.set_type("fake");
      event.lane = waiting_.front().lane;
      event.body = waiting_.front().body;
      out_[event.token] = waiting_.front();
      waiting_.pop_front();
      events.push_back(std::move(event));
    }
    if (!events.empty()) sink_->Push(std::move(events));
  }

  mutable std::mutex mutex_;
  std::deque<Message> waiting_;
  std::map<EventToken, Message> out_;
  EventSink* sink_ = nullptr;
  std::size_t credits_ = 0;
  std::size_t extended_ = 0;
  bool quiet_ = false;
  bool discarded_ = false;
  EventToken next_token_ = 1;
};

class FakeSource final : public EventSource {
 public:
  explicit FakeSource(FakeBroker& broker) : broker_(broker) {}

  SourceTraits traits() const override { return {broker_.durable, broker_.lease, broker_.fenced}; }
  absl::Status Start(EventSink& sink) override {
    const std::lock_guard lock(broker_.mutex_);
    EXPECT_EQ(broker_.sink_, nullptr) << "two sources of one trigger at a time";
    broker_.sink_ = &sink;
    broker_.quiet_ = false;
    broker_.credits_ = 0;
    sink.SetHealth(absl::OkStatus());
    if (!broker_.cursor.empty()) sink.SaveCursor(broker_.cursor);
    broker_.PushLocked();
    return absl::OkStatus();
  }
  void Grant(std::size_t credits) override {
    const std::lock_guard lock(broker_.mutex_);
    EXPECT_GT(credits, 0u);
    broker_.credits_ += credits;
    broker_.PushLocked();
  }
  void Settle(const std::vector<Settlement>& settlements) override {
    std::vector<std::pair<std::string, Settled>> told;
    {
      const std::lock_guard lock(broker_.mutex_);
      // What was released comes again in the order in which it was handed out.
      std::map<EventToken, FakeBroker::Message> again;
      for (const Settlement& settlement : settlements) {
        const auto out = broker_.out_.find(settlement.token);
        EXPECT_NE(out, broker_.out_.end()) << "token " << settlement.token << " was settled twice";
        if (out == broker_.out_.end()) continue;
        told.emplace_back(out->second.id, settlement.how);
        if (settlement.how == Settled::kReleased) again.insert(*out);
        broker_.out_.erase(out);
      }
      for (auto message = again.rbegin(); message != again.rend(); ++message)
        broker_.waiting_.push_front(message->second);
      broker_.PushLocked();
    }
    for (const auto& [id, how] : told) {
      if (broker_.on_settled) broker_.on_settled(id, how);
    }
  }
  void Extend(const std::vector<EventToken>& tokens) override {
    const std::lock_guard lock(broker_.mutex_);
    for (const EventToken token : tokens) EXPECT_TRUE(broker_.out_.contains(token));
    broker_.extended_ += tokens.size();
  }
  void Discard() override {
    const std::lock_guard lock(broker_.mutex_);
    EXPECT_FALSE(broker_.quiet_) << "discarded after it was quiesced";
    broker_.discarded_ = true;
  }
  void Quiesce() override {
    const std::lock_guard lock(broker_.mutex_);
    broker_.quiet_ = true;
  }
  void Stop(std::chrono::steady_clock::time_point) override {
    const std::lock_guard lock(broker_.mutex_);
    EXPECT_TRUE(broker_.quiet_) << "stopped before it was quiesced";
    EXPECT_TRUE(broker_.out_.empty()) << "stopped with events that are not settled";
    broker_.sink_ = nullptr;
  }

 private:
  FakeBroker& broker_;
};

// Makes sources of the brokers by the names of their triggers; pretends to be of kind cron.
class FakeSourceFactory final : public SourceFactory {
 public:
  explicit FakeSourceFactory(std::map<std::string, FakeBroker*> brokers) : brokers_(std::move(brokers)) {}

  v1::EventTrigger::SourceCase kind() const override { return v1::EventTrigger::kCron; }
  bool exclusive() const override { return false; }
  absl::StatusOr<std::unique_ptr<EventSource>> Make(const v1::EventTrigger& trigger,
                                                    const SourceContext& context) override {
    const auto broker = brokers_.find(trigger.name());
    if (broker == brokers_.end()) return absl::InvalidArgumentError("no such broker");
    broker->second->began_at = context.cursor;
    return std::make_unique<FakeSource>(*broker->second);
  }

 private:
  const std::map<std::string, FakeBroker*> brokers_;
};

}  // namespace mayfly::gateway
