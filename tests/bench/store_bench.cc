// How many events the SQLite event store makes durable per second, and takes through their whole life.
//
//   store_bench [FOLDER]     prints: figure NAME VALUE UNIT
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <semaphore>
#include <string>

#include "base/clock.h"
#include "gateway/store/sqlite/sqlite_event_store.h"
#include "gateway/store/waiting.h"

namespace {

using namespace mayfly::gateway;  // NOLINT: a program of one file
using Seconds = std::chrono::duration<double>;

constexpr int kEvents = 200'000;
constexpr std::ptrdiff_t kAtOnce = 4'096;

double Since(std::chrono::steady_clock::time_point begin) {
  return Seconds(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

int main(int argc, char** argv) {
  namespace fs = std::filesystem;
  std::string folder =
      (argc > 1 ? fs::path(argv[1]) : fs::temp_directory_path()) / "mayfly-store-bench-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) return 1;
  {
    const mayfly::base::RealClock clock;
    SqliteStoreOptions options;
    options.path = folder + "/events.db";
    auto opened = SqliteEventStore::Open(options, clock);
    if (!opened.ok()) return 1;
    SqliteEventStore& store = **opened;
    const TriggerKey key{"default/bench", "t"};
    std::counting_semaphore<kAtOnce> room(kAtOnce);
    std::atomic<int> failed{0};
    auto begin = std::chrono::steady_clock::now();
    for (int n = 0; n < kEvents; ++n) {
      NewEvent event;
      event.record = NewRecordId(n);
      event.trigger = key;
      event.event.set_id("event-" + std::to_string(n));
      event.event.set_source("/bench");
      event.event.set_type("bench");
      event.body = std::string(200, 'x');
      room.acquire();
      store.Accept(std::move(event), [&](const absl::StatusOr<Accepted>& done) {
        if (!done.ok()) failed++;
        room.release();
      });
    }
    for (std::ptrdiff_t n = 0; n < kAtOnce; ++n) room.acquire();
    const double accepted = Since(begin);
    std::printf("figure store_durable_events_per_s %.0f 1/s\n", kEvents / accepted);

    begin = std::chrono::steady_clock::now();
    int settled = 0;
    while (settled < kEvents) {
      const auto batch = WaitFor<LeaseBatch>(
          [&](auto done) { store.Lease(key, 1'024, std::size_t{16} << 20, std::move(done)); });
      if (!batch.ok() || batch->events.empty()) break;
      std::vector<EventOutcome> outcomes(batch->events.size());
      for (std::size_t i = 0; i < outcomes.size(); ++i) outcomes[i].record = batch->events[i].record;
      settled += static_cast<int>(outcomes.size());
      if (!WaitFor([&](EventStore::Done done) { store.Finish(outcomes, std::move(done)); }).ok()) failed++;
    }
    std::printf("figure store_settled_events_per_s %.0f 1/s\n", settled / Since(begin));
    std::printf("figure store_failed %d 1\n", failed.load());
    if (failed > 0 || settled != kEvents) return 1;
  }
  fs::remove_all(folder);
  return 0;
}
