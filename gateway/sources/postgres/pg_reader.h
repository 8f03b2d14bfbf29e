// A PgReader is one trigger's side of a replication slot: it finds or makes publication and slot, reads the stream of
// changes, pushes as many events as it has credits for, confirms what is settled, and tells how many wait.
//
//   connects ── slot is there ──▶ streams ── connection lost, slot taken ──▶ connects again, with backoff
//      └── slot is made, with a snapshot ──▶ reads the rows, until all are settled ──▶ streams
//
// What it reads ahead of its credits is bounded; then it leaves the socket alone, and the server waits. A server writes down
// only now and then how far a slot was confirmed, and an older place comes back with it when it is killed: so the reader
// begins where it has confirmed itself, as long as it, or the next of the same trigger in this process, lives.
//
// One thread, `postgres`; what is for the engine is thread-safe and does not wait, save Stop().
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "gateway/sources/postgres/pg_connection.h"
#include "gateway/sources/postgres/pg_slot.h"
#include "gateway/sources/postgres/pg_snapshot.h"
#include "gateway/sources/postgres/pg_window.h"
#include "gateway/sources/source.h"
#include "gateway/sources/told_backlog.h"

namespace mayfly::gateway {

// How far the readers of this process have come, by slot. Thread-safe.
class PgMemory {
 public:
  struct Place {
    PgSystem system;
    PgWindow window;
  };
  void Keep(const std::string& slot, Place place);
  // Nothing if there is none, or it is of another history of the database.
  std::optional<PgWindow> Take(const std::string& slot, const PgSystem& system);

 private:
  std::mutex mutex_;
  std::map<std::string, Place> places_;  // guarded by mutex_
};

class PgReader {
 public:
  PgReader(PostgresSettings settings, std::shared_ptr<PgMemory> memory, const base::Clock& clock);
  // REQUIRES: Stop() was called, if Start() was.
  ~PgReader();

  // For the engine.
  void Start(EventSink& sink);
  void Grant(std::size_t credits);
  void Settle(const std::vector<Settlement>& settlements);
  void Discard();
  void Quiesce();
  void Stop(std::chrono::steady_clock::time_point deadline);

 private:
  struct Mailbox {
    std::size_t credits = 0;
    std::vector<Settlement> settlements;
    bool quiet = false;
    bool stopping = false;
    bool discarded = false;
    std::chrono::steady_clock::time_point deadline{};
  };

  void Run();
  // Connects and streams, until something ends it. OK once the reader has ended.
  absl::Status Serve();
  absl::Status MakeWithSnapshot();
  absl::Status OpenStream();
  absl::Status StreamChanges();
  // One round: mail, events, confirmation, what is due. True once the reader is to end.
  absl::StatusOr<bool> Turn();
  absl::Status ReadFrames(bool* any);
  absl::Status OnMessage(const PgWalData& data);
  absl::Status OnRelation(PgRelation relation);
  void OnChange(const PgChange& change, Lsn place);
  PgPlace NextPlace(Lsn change);
  absl::Status Confirm(base::MonotonicTime now, bool wants_reply);
  absl::Status LookAtSlot(base::MonotonicTime now);
  bool WantsMore() const;
  // Until there is mail, something to read if `reads`, or `until`.
  absl::Status Sleep(bool reads, base::MonotonicTime until);
  void SayGoodbye();
  void DropWhatItMade();

  void TakeMail();
  void Push();
  void TellBacklog(base::MonotonicTime now);
  void TellHealth(const absl::Status& health);
  bool ended() const;

  const PostgresSettings settings_;
  const std::string memory_key_;
  const std::shared_ptr<PgMemory> memory_;
  const base::Clock& clock_;
  PgSignal wake_;
  PgSignal cancel_;

  mutable std::mutex mail_mutex_;
  std::condition_variable ended_changed_;
  Mailbox mail_;            // guarded by mail_mutex_
  bool streaming_ = false;  // guarded by mail_mutex_
  bool ended_ = false;      // guarded by mail_mutex_

  EventSink* sink_ = nullptr;  // of the thread, until it ends

  // The thread's own.
  std::unique_ptr<PgConnection> statements_;
  std::unique_ptr<PgConnection> replication_;
  std::unique_ptr<PgSnapshot> snapshot_;
  std::optional<PgSystem> system_;
  PgWindow window_;
  std::unordered_map<std::uint32_t, PgTable> tables_;
  PgBegin transaction_;
  bool wanted_transaction_ = false;
  PgPlace last_;
  std::size_t credits_ = 0;
  bool quiet_ = false;
  bool stopping_ = false;
  bool discarded_ = false;
  std::chrono::steady_clock::time_point deadline_{};
  bool ready_ = false;      // streams, or reads rows
  bool caught_up_ = false;  // has read what was there when it began
  Lsn goal_ = 0;
  base::MonotonicTime ready_since_{};
  base::MonotonicTime heard_{};
  bool reply_wanted_ = false;
  Lsn told_confirmed_ = 0;
  base::MonotonicTime confirmed_at_{};
  base::MonotonicTime look_at_{};
  base::MonotonicTime beat_at_{};
  absl::Status lag_;
  ToldBacklog told_backlog_;
  std::optional<absl::Status> told_health_;

  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace mayfly::gateway
