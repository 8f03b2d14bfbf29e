// A FaultyStore is another store that fails what a test wants it to fail.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "gateway/store/event_store.h"

namespace mayfly::gateway {

class FaultyStore final : public EventStore {
 public:
  // `store` must outlive this.
  explicit FaultyStore(EventStore& store) : store_(store) {}

  // Asked before each write; true: it fails with kResourceExhausted, and nothing of it is done.
  std::function<bool()> fail;

  void OnDue(std::function<void(const TriggerKey&)> due) override { store_.OnDue(std::move(due)); }
  void Accept(NewEvent event, Callback<Accepted> done) override {
    if (Fails()) return done(Full());
    store_.Accept(std::move(event), std::move(done));
  }
  void Lease(const TriggerKey& trigger, std::size_t most, std::size_t most_bytes,
             Callback<LeaseBatch> done) override {
    if (Fails()) return done(Full());
    store_.Lease(trigger, most, most_bytes, std::move(done));
  }
  void Finish(std::vector<EventOutcome> outcomes, Done done) override {
    if (Fails()) return done(Full());
    store_.Finish(std::move(outcomes), std::move(done));
  }
  void Park(DeadLetter letter, Done done) override {
    if (Fails()) return done(Full());
    store_.Park(std::move(letter), std::move(done));
  }
  void Cancel(const std::string& record, Done done) override { store_.Cancel(record, std::move(done)); }
  void Find(const std::string& record, Callback<EventView> done) override {
    store_.Find(record, std::move(done));
  }
  void ListPending(EventSelection selection, Callback<std::vector<EventView>> done) override {
    store_.ListPending(std::move(selection), std::move(done));
  }
  void ListDead(EventSelection selection, Callback<std::vector<DeadLetter>> done) override {
    store_.ListDead(std::move(selection), std::move(done));
  }
  void Redrive(EventSelection selection, Callback<std::size_t> done) override {
    store_.Redrive(std::move(selection), std::move(done));
  }
  void Purge(EventSelection selection, Callback<std::size_t> done) override {
    store_.Purge(std::move(selection), std::move(done));
  }
  void Counts(Callback<std::vector<TriggerCounts>> done) override { store_.Counts(std::move(done)); }
  void ReadCursor(const TriggerKey& trigger, Callback<std::string> done) override {
    store_.ReadCursor(trigger, std::move(done));
  }
  void SaveCursor(const TriggerKey& trigger, std::string cursor, Done done) override {
    store_.SaveCursor(trigger, std::move(cursor), std::move(done));
  }
  absl::Status health() const override { return store_.health(); }
  void Stop(std::chrono::steady_clock::time_point deadline) override { store_.Stop(deadline); }

 private:
  bool Fails() const { return fail && fail(); }
  static absl::Status Full() { return absl::ResourceExhaustedError("the test wants this to fail"); }

  EventStore& store_;
};

}  // namespace mayfly::gateway
