#include "gateway/sources/postgres/pg_reader.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "base/backoff.h"
#include "base/log.h"
#include "base/thread.h"

namespace mayfly::gateway {
namespace {

using namespace std::chrono_literals;

constexpr auto kFirstPause = 100ms;
constexpr auto kLongestPause = 5s;
// While somebody else has the slot: whoever had it before may have died.
constexpr auto kBusyPause = 500ms;
constexpr auto kStatusEvery = 10s;
constexpr auto kIdleStatus = 1s;
constexpr auto kSilent = 60s;
constexpr auto kLookEvery = 10s;
constexpr auto kCatchUp = 1s;
constexpr auto kGoodbye = 2s;
constexpr auto kLookForAnswer = 100ms;
// A former reader that is ended needs a moment to let go of the slot, and must not get it back meanwhile.
constexpr auto kTakeOver = 2s;
constexpr auto kTakeOverEvery = 10ms;
constexpr auto kLong = 60s;
// In memory: what is read and has no credits, what is not done, and how many are remembered beside.
constexpr std::size_t kMostWaiting = 2'000;
constexpr std::size_t kMostWaitingBytes = std::size_t{4} << 20;
constexpr std::size_t kMostBytes = std::size_t{32} << 20;
constexpr std::size_t kMostKnown = 50'000;
constexpr int kFrames = 512;

constexpr char kInUse[] = "55006";

}  // namespace

void PgMemory::Keep(const std::string& slot, Place place) {
  const std::lock_guard lock(mutex_);
  const auto there = places_.find(slot);
  if (there != places_.end() && there->second.system == place.system &&
      there->second.window.confirmed() > place.window.confirmed())
    return;
  places_.insert_or_assign(slot, std::move(place));
}

std::optional<PgWindow> PgMemory::Take(const std::string& slot, const PgSystem& system) {
  const std::lock_guard lock(mutex_);
  const auto there = places_.extract(slot);
  if (there.empty() || there.mapped().system != system) return std::nullopt;
  return std::move(there.mapped().window);
}

PgReader::PgReader(PostgresSettings settings, std::shared_ptr<PgMemory> memory, const base::Clock& clock)
    : settings_(std::move(settings)),
      memory_key_(fmt::format("{}:{}/{}/{}", settings_.connection.host, settings_.connection.port,
                              settings_.connection.database, settings_.slot)),
      memory_(std::move(memory)),
      clock_(clock) {}

PgReader::~PgReader() = default;

void PgReader::Start(EventSink& sink) {
  sink_ = &sink;
  thread_ = base::StartThread("postgres", [this](const std::stop_token&) { Run(); });
}

void PgReader::Grant(std::size_t credits) {
  {
    const std::lock_guard lock(mail_mutex_);
    mail_.credits += credits;
  }
  wake_.Set();
}

void PgReader::Settle(const std::vector<Settlement>& settlements) {
  {
    const std::lock_guard lock(mail_mutex_);
    mail_.settlements.insert(mail_.settlements.end(), settlements.begin(), settlements.end());
  }
  wake_.Set();
}

void PgReader::Discard() {
  const std::lock_guard lock(mail_mutex_);
  mail_.discarded = true;
}

void PgReader::Quiesce() {
  {
    const std::lock_guard lock(mail_mutex_);
    mail_.quiet = true;
  }
  wake_.Set();
}

void PgReader::Stop(std::chrono::steady_clock::time_point deadline) {
  {
    std::unique_lock lock(mail_mutex_);
    mail_.quiet = mail_.stopping = true;
    mail_.deadline = deadline;
    wake_.Set();
    // A server that is away is not waited for: what is settled is remembered here.
    if (streaming_ || mail_.discarded) ended_changed_.wait_until(lock, deadline, [this] { return ended_; });
  }
  cancel_.Set();
  if (thread_.joinable()) thread_.join();
}

bool PgReader::ended() const {
  const std::lock_guard lock(mail_mutex_);
  return mail_.stopping;
}

void PgReader::Run() {
  int failures = 0;
  while (!ended()) {
    const absl::Status status = Serve();
    const bool was_ready = std::exchange(ready_, false);
    caught_up_ = false;
    snapshot_.reset();
    replication_.reset();
    statements_.reset();
    {
      const std::lock_guard lock(mail_mutex_);
      streaming_ = false;
    }
    if (status.ok() || absl::IsCancelled(status)) break;
    if (was_ready) failures = 0;
    if (failures++ == 0)
      base::log::Warn("no changes come from PostgreSQL",
                      {{"slot", settings_.slot}, {"why", std::string(status.message())}});
    TellHealth(status);
    TellBacklog(clock_.Now());
    const bool busy = SqlState(status) == kInUse;
    const auto until =
        clock_.Now() + base::JitteredBackoff(failures, kFirstPause, busy ? kBusyPause : kLongestPause);
    while (!ended() && clock_.Now() < until) {
      TakeMail();
      if (!Sleep(false, until).ok()) break;
    }
  }
  TakeMail();
  if (system_) {
    window_.LetGo();
    memory_->Keep(memory_key_, {*system_, std::move(window_)});
  }
  if (discarded_) DropWhatItMade();
  const std::lock_guard lock(mail_mutex_);
  ended_ = true;
  ended_changed_.notify_all();
}

absl::Status PgReader::Serve() {
  using For = PgConnection::For;
  auto statements = PgConnection::Connect(settings_.connection, For::kStatements, cancel_);
  if (!statements.ok()) return statements.status();
  statements_ = *std::move(statements);
  if (absl::Status status = PreparePublication(*statements_, settings_); !status.ok()) return status;
  auto replication = PgConnection::Connect(settings_.connection, For::kReplication, cancel_);
  if (!replication.ok()) return replication.status();
  replication_ = *std::move(replication);
  const absl::StatusOr<PgSystem> system = Identify(*replication_);
  if (!system.ok()) return system.status();
  if (system_ != *system) {
    // Nothing of another history is known here.
    window_ = memory_->Take(memory_key_, *system).value_or(PgWindow());
    system_ = *system;
  }
  absl::StatusOr<std::optional<PgSlot>> slot = FindSlot(*statements_, settings_);
  if (!slot.ok()) return slot.status();
  if (!*slot) {
    absl::Status made = settings_.snapshot ? MakeWithSnapshot() : MakeSlot(*replication_, settings_);
    if (!made.ok() || ended()) return made;
    slot = FindSlot(*statements_, settings_);
    if (!slot.ok()) return slot.status();
    if (!*slot) return absl::UnavailableError("the replication slot is gone again");
  }
  window_.Restart();
  window_.Advance((*slot)->confirmed);
  if (absl::Status opened = OpenStream(); !opened.ok()) return opened;
  return StreamChanges();
}

absl::Status PgReader::OpenStream() {
  const std::string statement = StreamStatement(settings_, window_.confirmed());
  const base::MonotonicTime until = clock_.Now() + kTakeOver;
  for (;;) {
    absl::Status opened = replication_->Stream(statement);
    if (SqlState(opened) != kInUse) return opened;
    const absl::StatusOr<bool> freed = FreeSlot(*statements_, settings_);
    if (!freed.ok()) return freed.status();
    // Somebody else has what was here, and brings it again.
    if (!*freed && window_.held() > 0) sink_->Revoke(window_.Held());
    if (!*freed || clock_.Now() > until) return opened;
    if (absl::Status slept = Sleep(false, clock_.Now() + kTakeOverEvery); !slept.ok()) return slept;
  }
}

absl::Status PgReader::MakeWithSnapshot() {
  const absl::StatusOr<PgNewSlot> slot = MakeSnapshotSlot(*replication_, settings_);
  if (!slot.ok()) return slot.status();
  auto snapshot = PgSnapshot::Open(settings_, cancel_, *slot);
  if (!snapshot.ok()) return snapshot.status();
  snapshot_ = *std::move(snapshot);
  window_ = PgWindow(slot->point);
  window_.Begin(slot->point);
  ready_ = true;
  TellHealth(absl::OkStatus());
  {
    const std::lock_guard lock(mail_mutex_);
    streaming_ = true;
  }
  while (snapshot_ != nullptr || window_.unsettled() > 0) {
    const base::MonotonicTime now = clock_.Now();
    TakeMail();
    // What is not settled is read again: the slot is not made yet.
    if (stopping_) return absl::OkStatus();
    Push();
    if (snapshot_ != nullptr && WantsMore()) {
      const auto wall =
          std::chrono::duration_cast<std::chrono::microseconds>(clock_.WallNow().time_since_epoch());
      const absl::StatusOr<bool> more = snapshot_->Read(wall.count(), &window_);
      if (!more.ok()) return more.status();
      if (!*more) snapshot_.reset();
      TellBacklog(now);
      continue;
    }
    caught_up_ = true;
    TellBacklog(now);
    base::MonotonicTime until = now + ToldBacklog::kEvery;
    if (const auto release = window_.NextRelease()) until = std::min(until, *release);
    if (absl::Status slept = Sleep(false, until); !slept.ok()) return slept;
  }
  window_.Commit(slot->point);
  return KeepSnapshotSlot(*replication_, *slot, settings_);
}

absl::Status PgReader::StreamChanges() {
  const base::MonotonicTime begin = clock_.Now();
  ready_ = true;
  ready_since_ = heard_ = look_at_ = begin;
  beat_at_ = begin + settings_.heartbeat;
  caught_up_ = false;
  tables_.clear();
  wanted_transaction_ = false;
  told_confirmed_ = 0;
  goal_ = 0;
  if (const auto now = statements_->Run("SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() "
                                        "ELSE pg_current_wal_flush_lsn() END");
      now.ok())
    goal_ = ReadLsn(now->Text(0, 0)).value_or(0);
  {
    const std::lock_guard lock(mail_mutex_);
    streaming_ = true;
  }
  lag_ = absl::OkStatus();
  TellHealth(absl::OkStatus());
  if (absl::Status sent = Confirm(begin, true); !sent.ok()) return sent;
  for (;;) {
    const absl::StatusOr<bool> ends = Turn();
    if (!ends.ok()) return ends.status();
    if (*ends) {
      SayGoodbye();
      return absl::OkStatus();
    }
    const base::MonotonicTime now = clock_.Now();
    if (WantsMore()) {
      bool any = false;
      if (absl::Status read = ReadFrames(&any); !read.ok()) return read;
      if (any) continue;
      if (now > heard_ + kSilent)
        return absl::UnavailableError(
            fmt::format("the server has not answered for {} s", std::chrono::seconds(kSilent).count()));
    } else {
      heard_ = now;
    }
    base::MonotonicTime until = confirmed_at_ + kStatusEvery;
    if (window_.confirmed() > told_confirmed_) until = std::min(until, confirmed_at_ + kIdleStatus);
    if (const auto release = window_.NextRelease()) until = std::min(until, std::max(*release, now));
    if (window_.unsettled() > 0 || settings_.most_lag_bytes > 0) until = std::min(until, look_at_);
    if (settings_.heartbeat.count() > 0) until = std::min(until, beat_at_);
    if (!caught_up_) until = std::min(until, ready_since_ + kCatchUp);
    if (const auto due = told_backlog_.Due(Backlog::Of(window_.unsettled())); due && caught_up_)
      until = std::min(until, std::max(*due, now));
    if (absl::Status slept = Sleep(WantsMore(), until); !slept.ok()) return slept;
  }
}

absl::StatusOr<bool> PgReader::Turn() {
  const base::MonotonicTime now = clock_.Now();
  const Lsn before = window_.confirmed();
  TakeMail();
  if (stopping_) return true;
  Push();
  const bool settled = window_.confirmed() > before;
  const bool due = window_.confirmed() > told_confirmed_ && now >= confirmed_at_ + kIdleStatus;
  const bool routine = now >= confirmed_at_ + kStatusEvery;
  if (settled || due || routine || reply_wanted_) {
    if (absl::Status sent = Confirm(now, routine); !sent.ok()) return sent;
  }
  if (absl::Status looked = LookAtSlot(now); !looked.ok()) return looked;
  caught_up_ = caught_up_ || now >= ready_since_ + kCatchUp;
  TellBacklog(now);
  return false;
}

absl::Status PgReader::Confirm(base::MonotonicTime now, bool wants_reply) {
  reply_wanted_ = false;
  confirmed_at_ = now;
  told_confirmed_ = window_.confirmed();
  const auto wall =
      std::chrono::duration_cast<std::chrono::microseconds>(clock_.WallNow().time_since_epoch());
  return replication_->Send(StandbyStatus(told_confirmed_, wall.count(), wants_reply));
}

absl::Status PgReader::LookAtSlot(base::MonotonicTime now) {
  if (settings_.heartbeat.count() > 0 && now >= beat_at_) {
    beat_at_ = now + settings_.heartbeat;
    const auto beat = statements_->Run("SELECT pg_logical_emit_message(false, 'mayfly', '')");
    if (!beat.ok()) return base::WithContext(beat.status(), "heartbeat");
  }
  if (now < look_at_ || (window_.unsettled() == 0 && settings_.most_lag_bytes == 0)) return absl::OkStatus();
  look_at_ = now + kLookEvery;
  const absl::StatusOr<std::uint64_t> lag = SlotLag(*statements_, settings_);
  if (!lag.ok()) return lag.status();
  const bool too_much = settings_.most_lag_bytes > 0 && *lag > settings_.most_lag_bytes;
  const absl::Status was = std::exchange(
      lag_,
      too_much
          ? absl::ResourceExhaustedError(fmt::format(
                "replication slot \"{}\" holds {} bytes of the server's log back, more than maxLag ({}): "
                "{} events of it are not settled",
                settings_.slot, *lag, settings_.most_lag_bytes, window_.unsettled()))
          : absl::OkStatus());
  if (was.ok() && !lag_.ok())
    base::log::Error("a replication slot lags behind", {{"slot", settings_.slot}, {"bytes", *lag}});
  TellHealth(lag_);
  return absl::OkStatus();
}

bool PgReader::WantsMore() const {
  return !quiet_ && window_.waiting() < kMostWaiting && window_.waiting_bytes() < kMostWaitingBytes &&
         window_.bytes() < kMostBytes && window_.known() < kMostKnown;
}

absl::Status PgReader::ReadFrames(bool* any) {
  for (int n = 0; n < kFrames && WantsMore(); ++n) {
    const absl::StatusOr<std::string_view> bytes = replication_->Take();
    if (!bytes.ok()) return bytes.status();
    if (bytes->empty()) break;
    *any = true;
    const auto frame = ReadFrame(*bytes);
    if (!frame.ok()) return frame.status();
    if (const auto* const keepalive = std::get_if<PgKeepalive>(&*frame)) {
      reply_wanted_ = reply_wanted_ || keepalive->wants_reply;
      caught_up_ = caught_up_ || keepalive->end >= goal_;
      window_.Reach(keepalive->end);
    } else if (absl::Status taken = OnMessage(std::get<PgWalData>(*frame)); !taken.ok()) {
      return taken;
    }
  }
  if (*any) heard_ = clock_.Now();
  return absl::OkStatus();
}

absl::Status PgReader::OnMessage(const PgWalData& data) {
  absl::StatusOr<PgMessage> message = ReadPgOutput(data.message);
  if (!message.ok()) return message.status();
  if (const auto* const begin = std::get_if<PgBegin>(&*message)) {
    transaction_ = *begin;
    wanted_transaction_ = window_.Begin(begin->commit);
    last_ = {};
  } else if (const auto* const commit = std::get_if<PgCommit>(&*message)) {
    window_.Commit(commit->end);
    caught_up_ = caught_up_ || commit->end >= goal_;
    wanted_transaction_ = false;
  } else if (auto* const relation = std::get_if<PgRelation>(&*message)) {
    return OnRelation(std::move(*relation));
  } else if (const auto* const change = std::get_if<PgChange>(&*message)) {
    OnChange(*change, data.start);
  } else if (const auto* const truncate = std::get_if<PgTruncate>(&*message)) {
    for (const std::uint32_t oid : truncate->relations) {
      const PgPlace place = NextPlace(data.start);
      const auto table = tables_.find(oid);
      if (!wanted_transaction_ || !settings_.truncates || table == tables_.end() || !table->second.wanted ||
          !window_.Wants(place))
        continue;
      window_.Add(place, TruncateEvent(table->second, transaction_, place, settings_.connection.database));
    }
  }
  return absl::OkStatus();
}

absl::Status PgReader::OnRelation(PgRelation relation) {
  PgTable table;
  table.relation = std::move(relation);
  std::vector<std::string> key;
  if (table.relation.identity == 'f') {
    absl::StatusOr<std::vector<std::string>> found = PrimaryKey(*statements_, table.relation.oid);
    if (!found.ok()) return found.status();
    key = *std::move(found);
  }
  ApplySettings(settings_, key, &table);
  tables_.insert_or_assign(table.relation.oid, std::move(table));
  return absl::OkStatus();
}

PgPlace PgReader::NextPlace(Lsn change) {
  const std::uint32_t number = last_.change == change && last_.commit != 0 ? last_.number + 1 : 0;
  last_ = {transaction_.commit, change, number};
  return last_;
}

void PgReader::OnChange(const PgChange& change, Lsn at) {
  const PgPlace place = NextPlace(at);
  const bool followed = change.what == PgChange::What::kInsert   ? settings_.inserts
                        : change.what == PgChange::What::kUpdate ? settings_.updates
                                                                 : settings_.deletes;
  if (!wanted_transaction_ || !followed) return;
  const auto table = tables_.find(change.relation);
  if (table == tables_.end() || !table->second.wanted || !window_.Wants(place)) return;
  window_.Add(place, ChangeEvent(table->second, change, transaction_, place, settings_.connection.database));
}

absl::Status PgReader::Sleep(bool reads, base::MonotonicTime until) {
  const base::MonotonicTime now = clock_.Now();
  const auto left = std::clamp<std::chrono::nanoseconds>(until - now, 0ms, kLong);
  pollfd fds[4] = {{wake_.fd(), POLLIN, 0}, {cancel_.fd(), POLLIN, 0}, {-1, POLLIN, 0}, {-1, POLLIN, 0}};
  if (replication_ != nullptr && reads) fds[2].fd = replication_->socket();
  // A server that is told to stop ends this one first, and waits for all to be confirmed on the other.
  if (statements_ != nullptr) fds[3].fd = statements_->socket();
  const int ready =
      ::poll(fds, 4, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count()));
  if (ready < 0 && errno != EINTR) return base::ErrnoStatus(errno, "poll");
  if (ready <= 0) return absl::OkStatus();
  if (fds[0].revents != 0) wake_.Clear();
  if (fds[1].revents != 0) return absl::CancelledError("the trigger ends");
  if (fds[3].revents != 0) return statements_->Listen();
  return absl::OkStatus();
}

void PgReader::SayGoodbye() {
  if (!Confirm(clock_.Now(), true).ok()) return;
  // Once the server has answered, it has read what was confirmed.
  const auto until =
      std::min<std::chrono::steady_clock::time_point>(deadline_, std::chrono::steady_clock::now() + kGoodbye);
  while (std::chrono::steady_clock::now() < until) {
    const absl::StatusOr<std::string_view> bytes = replication_->Take();
    if (!bytes.ok()) return;
    if (!bytes->empty()) {
      if (bytes->front() == 'k') return;
      continue;
    }
    if (!Sleep(true, clock_.Now() + kLookForAnswer).ok()) return;
  }
}

void PgReader::DropWhatItMade() {
  auto statements = PgConnection::Connect(settings_.connection, PgConnection::For::kStatements, cancel_);
  absl::Status status = statements.status();
  if (status.ok()) status = DropAll(**statements, settings_, deadline_);
  if (status.ok()) {
    const bool kept = settings_.keep_slot || !settings_.own_slot;
    base::log::Info(kept ? "a trigger is deleted; its replication slot is kept"
                         : "a trigger is deleted, and its replication slot with it",
                    {{"slot", settings_.slot}});
  } else {
    base::log::Error(
        "a trigger is deleted, and its replication slot may be left behind: SELECT "
        "pg_drop_replication_slot() it, or the server keeps its log for ever",
        {{"slot", settings_.slot},
         {"database", settings_.connection.database},
         {"why", std::string(status.message())}});
  }
}

void PgReader::TakeMail() {
  Mailbox mail;
  {
    const std::lock_guard lock(mail_mutex_);
    mail.credits = std::exchange(mail_.credits, 0);
    mail.settlements = std::exchange(mail_.settlements, {});
    quiet_ = mail_.quiet;
    stopping_ = mail_.stopping;
    discarded_ = mail_.discarded;
    deadline_ = mail_.deadline;
  }
  credits_ += mail.credits;
  const base::MonotonicTime now = clock_.Now();
  for (const Settlement& settlement : mail.settlements)
    window_.Settle(settlement.token, settlement.how != Settled::kReleased, now);
}

void PgReader::Push() {
  if (quiet_ || credits_ == 0) return;
  std::vector<SourceEvent> events = window_.Take(credits_, clock_.Now());
  if (events.empty()) return;
  credits_ -= events.size();
  sink_->Push(std::move(events));
}

void PgReader::TellBacklog(base::MonotonicTime now) {
  if (ready_ && !caught_up_ && window_.unsettled() == 0) return;
  const Backlog backlog = ready_ ? Backlog::Of(window_.unsettled()) : Backlog::Unknown();
  if (!told_backlog_.Take(backlog, now)) return;
  sink_->SetBacklog(backlog);
}

void PgReader::TellHealth(const absl::Status& health) {
  if (told_health_ == health) return;
  told_health_ = health;
  sink_->SetHealth(base::WithContext(health, "postgres"));
}

}  // namespace mayfly::gateway
