// What workers run, and what waits behind it.
#include <sys/timerfd.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "proto/problem.h"
#include "runtime/pool/pool_core.h"
#include "runtime/pool/spawn.h"

namespace mayfly::runtime {
namespace {

using std::chrono::microseconds;
using std::chrono::nanoseconds;

// Reading a worker's peak memory costs more than a short invocation: it is read after those that used this much CPU
// time, and otherwise this often. Memory takes CPU time to touch, so what an invocation's own peak misses is what can
// be touched in kPeakAlwaysAfter, a few MiB; the worker's next reading has it, for the kernel keeps the mark.
constexpr auto kPeakAlwaysAfter = microseconds(250);
constexpr auto kPeakEvery = std::chrono::milliseconds(100);

// Calls wait behind others only while a function's handlers typically run for less than this.
constexpr auto kShort = microseconds(100);
// How often what waits is looked at, and after how many looks even a worker that has not begun is given up waiting for:
// on a busy machine it may just not have had its turn.
constexpr auto kLook = PoolCore::kLookEvery;
constexpr std::uint32_t kPatientLooks = 20;

// The output of a worker that prints (rather than logs) is an invocation's for certain only if that one is alone there.
constexpr auto kAloneAfterPrinting = std::chrono::seconds(1);
// For so long none waits behind another once one was lost to the one before it.
constexpr auto kAloneAfterHarm = std::chrono::minutes(1);

constexpr std::uint64_t kAmpleWindow = 2 * ipc::kSmallAnswerBytes;

}  // namespace

// The worker behind whose call a short one may wait; null if it is better to wake another.
PoolCore::WorkerPtr PoolCore::PickBusy(Time now) const {
  if (running_.size() < options_.busy_before_waiting || !typical_ || *typical_ > kShort) return nullptr;
  if (now - printed_at_ < kAloneAfterPrinting || now < alone_until_) return nullptr;
  WorkerPtr best;
  std::uint32_t busy = 0;
  for (const WorkerPtr& worker : running_) {
    const Call& call = *worker->call;
    if (worker->state != WorkerProcess::State::kLive || !call.given || call.blocked || worker->begun ||
        worker->looks > kPatientLooks) {
      continue;
    }
    // Is it still short? It is, if it has not begun, has ended unread, or was not given long ago.
    if (now - std::max(call.given_at, worker->ended_at) > kLook && !worker->channel->ring().HasMore() &&
        worker->channel->Taken(call.number)) {
      continue;
    }
    ++busy;
    const std::uint32_t ahead = (worker->channel->given() + 1 - call.number) % ipc::kCallNumbers;
    if (ahead >= ipc::kCalls || call.window < kAmpleWindow) continue;
    if (!worker->waiting.empty() && worker->waiting.back()->window < kAmpleWindow) continue;
    // What is put behind one that wrote over its channel is lost with it.
    if (!worker->channel->Untouched()) continue;
    if (best == nullptr || worker->waiting.size() < best->waiting.size()) best = worker;
  }
  return busy >= options_.busy_before_waiting ? best : nullptr;
}

// Makes `call` what the worker has to do next: at once, or when it is done with what it has.
void PoolCore::Assign(const WorkerPtr& worker, const std::shared_ptr<Call>& call) {
  call->worker = worker;
  if (worker->call != nullptr) {
    worker->waiting.push_back(call);
    ++waiting_;
    ++waited_;
    return;
  }
  worker->call = call;
  worker->begun = false;
  worker->looks = 0;
  running_.push_back(worker);
}

// The worker's call has ended: what waited longest behind it is next.
void PoolCore::Advance(const WorkerPtr& worker) {
  worker->call = nullptr;
  worker->begun = false;
  worker->looks = 0;
  if (worker->waiting.empty()) {
    std::erase(running_, worker);
    return;
  }
  worker->call = std::move(worker->waiting.front());
  worker->waiting.pop_front();
  --waiting_;
}

// A worker that has nothing to do any more.
void PoolCore::Rest(const WorkerPtr& worker) {
  if (worker->call != nullptr || worker->state != WorkerProcess::State::kLive) return;
  worker->idle_since = last_active_;
  idle_.push_back(worker);
}

// Reads what the worker has answered, of as many calls as have ended.
void PoolCore::Collect(const WorkerPtr& worker) {
  Channel& channel = *worker->channel;
  std::vector<Ended> ended;
  bool wicked = false;
  bool children = false;
  bool threads = false;
  while (worker->call != nullptr && !wicked && !children && !threads) {
    const std::shared_ptr<Call>& call = worker->call;
    if (!call->given) break;
    // An honest worker takes a call before it answers it; and each before left the words as they must be, or this is not reached.
    if (channel.ring().HasMore() && !channel.Taken(call->number)) {
      wicked = true;
      call->answer.Spoil();
      ended.push_back({call, {}, call->answer.ran()});
      Advance(worker);
      break;
    }
    ipc::RecordKind kind{};
    std::string payload;
    const auto got = channel.ring().Next(call->window, kind, payload);
    if (got == ipc::RingReader::Result::kBlocked || got == ipc::RingReader::Result::kEmpty) {
      call->blocked = got == ipc::RingReader::Result::kBlocked;
      if (call->answer.HasPart()) outbox_.push_back({call->sink, call->answer.TakePart()});
      break;
    }
    if (got == ipc::RingReader::Result::kBroken) kind = static_cast<ipc::RecordKind>(0);
    if (kind == ipc::RecordKind::kData) call->window -= payload.size();
    const Answer::Step step = call->answer.Take(kind, std::move(payload));
    if (step == Answer::Step::kMore) continue;
    wicked = step == Answer::Step::kBroken || !channel.Intact(call->number) ||
             (worker->waiting.empty() && channel.ring().HasMore());
    children = call->answer.stray_children();
    threads = call->answer.stray_threads();
    ended.push_back({call, {}, call->answer.ran()});
    Advance(worker);
  }
  channel.ReleaseRing();
  if (ended.empty()) return;
  const std::string last = ended.back().call->id;
  Settle(worker, ended, std::chrono::steady_clock::now());
  if (wicked) {
    base::log::Warn("the handler wrote over its channel; its worker is killed",
                    {{"function", options_.function}, {"pid", worker->pid}, {"invocation", last}});
  }
  if (children) {
    base::log::Warn("the handler left processes behind; its worker is killed with them",
                    {{"function", options_.function}, {"pid", worker->pid}, {"invocation", last}});
  }
  if (!wicked && !children && !threads) return Rest(worker);
  Abandon(worker, "Retired");
  if (threads && !wicked && !children) MakeUpForThreads(last, worker->pid);
}

// Tells the results of calls that have ended, and what they used: the kernel says how much it was in all, the worker how
// long it was busy with each. The wall times add up to what has really passed, and so does the CPU time, of which the
// call that runs already has its share.
void PoolCore::Settle(const WorkerPtr& worker, std::vector<Ended>& ended, Time now) {
  if (ended.empty()) return;
  nanoseconds ran{0};
  for (std::size_t i = 0; i < ended.size(); ++i) {
    Ended& each = ended[i];
    const Time begun = std::max(each.call->given_at, worker->ended_at);
    const nanoseconds passed = std::max(nanoseconds(now - begun), nanoseconds(0));
    each.ran = std::clamp(each.ran, nanoseconds(0), passed);
    // The last one ends when it is read, if nothing ran after it.
    const bool last = i + 1 == ended.size() && worker->call == nullptr;
    worker->ended_at = last ? now : begun + each.ran;
    each.usage.wall = std::chrono::duration_cast<microseconds>(worker->ended_at - begun);
    ran += each.ran;
    NoteDuration(each.ran);
  }
  const microseconds used = std::max(CpuTime(worker->pid), worker->cpu_mark) - worker->cpu_mark;
  const nanoseconds running = worker->call == nullptr ? nanoseconds(0) : nanoseconds(now - worker->ended_at);
  const double unit = static_cast<double>(used.count()) /
                      std::max(1.0, static_cast<double>((ran + std::max(running, nanoseconds(0))).count()));
  microseconds shared_out{0};
  for (Ended& each : ended) {
    each.usage.cpu = microseconds(static_cast<std::int64_t>(unit * static_cast<double>(each.ran.count())));
    shared_out += each.usage.cpu;
  }
  if (worker->call == nullptr) {
    ended.back().usage.cpu += used - shared_out;
    shared_out = used;
  }
  worker->cpu_mark += shared_out;
  NotePeak(worker, used, now);
  for (Ended& each : ended) {
    v1::Result result = std::move(each.call->answer.result());
    Conclude(each.call, std::move(result), worker, &each.usage);
  }
}

void PoolCore::NotePeak(const WorkerPtr& worker, microseconds cpu, Time now) {
  if (cpu < kPeakAlwaysAfter && now - worker->peak_read_at < kPeakEvery) return;
  worker->peak_bytes = std::max(worker->peak_bytes, PeakResidentBytes(worker->pid));
  worker->peak_read_at = now;
}

void PoolCore::NoteDuration(nanoseconds ran) {
  // One that was long, or merely lost its processor, does not make a function of short calls a slow one; a quarter does.
  constexpr int kWeight = 8;
  ran = std::min<nanoseconds>(ran, 4 * kShort);
  typical_ = typical_ ? *typical_ + (ran - *typical_) / kWeight : ran;
}

// Takes back what waits behind the worker's call, and gives it to workers of its own. What the worker has taken
// meanwhile stays.
void PoolCore::TakeBack(const WorkerPtr& worker) {
  std::deque<std::shared_ptr<Call>> waiting;
  waiting.swap(worker->waiting);
  waiting_ -= static_cast<std::uint32_t>(waiting.size());
  for (const std::shared_ptr<Call>& call : waiting) {
    if (call->small && worker->channel->Revoke(call->number)) {
      ++taken_back_;
      PlaceAgain(call, worker);
    } else {
      worker->waiting.push_back(call);
      ++waiting_;
    }
  }
}

// Prepares that the worker is killed on account of its call: nothing else is to end by that. False if the call has
// ended after all.
bool PoolCore::Isolate(const WorkerPtr& worker) {
  if (worker->spoiled) return true;
  const std::shared_ptr<Call> call = worker->call;
  TakeBack(worker);
  if (worker->waiting.empty()) return true;
  // It runs the next one already, so the end of this one is in the ring.
  Collect(worker);
  if (worker->call != call) return false;
  // They were taken out of turn.
  worker->spoiled = true;
  return true;
}

// Ends a worker that cannot be trusted, whose own call has ended. What waits there and surely was not begun goes elsewhere at
// once; the rest is judged when the process is dead, and nobody writes its words any more.
void PoolCore::Abandon(const WorkerPtr& worker, const char* reason) {
  worker->spoiled = true;
  KillWorker(worker, reason);
  if (worker->call != nullptr) {
    worker->waiting.push_front(worker->call);
    ++waiting_;
    std::erase(running_, worker);
    worker->call = nullptr;
  }
  TakeBack(worker);
  if (worker->waiting.empty()) return;
  running_.push_back(worker);
  Advance(worker);
}

// Of a dead worker: gives a call that waited behind another to a new one, or tells why not.
void PoolCore::Judge(const std::shared_ptr<Call>& call, const WorkerPtr& worker, const v1::Problem& why) {
  if (worker->call == call) Advance(worker);
  // Only a worker that means harm takes one before the one before has ended. What that looks like when it has really begun, it
  // looks like when the handler before only wrote so.
  if (worker->channel->Taken(call->number)) {
    alone_until_ = std::chrono::steady_clock::now() + kAloneAfterHarm;
    EndCall(call,
            v1::MakeResult(
                v1::OUTCOME_CRASHED, "worker", "WorkerLost",
                "its worker was lost to an invocation before it, which crashed or wrote over memory that "
                "the worker shares with the runtime; this one may have begun or not: " +
                    why.message()),
            worker);
    return;
  }
  PlaceAgain(call, worker);
}

// Gives a small call, which surely was not begun, to another worker.
void PoolCore::PlaceAgain(const std::shared_ptr<Call>& call, const WorkerPtr& from) {
  std::string why_not = "the pool is closing";
  const WorkerPtr worker = closing_ ? nullptr : TakeWorker(why_not);
  if (worker == nullptr) {
    v1::Result result = v1::MakeResult(v1::OUTCOME_NOT_STARTED, "runtime", "NoFreeSlot", why_not);
    call->given = false;
    EndCall(call, std::move(result), from);
    return;
  }
  from->channel->CopyRequest(call->number, call->body_offset + call->written, *worker->channel);
  Assign(worker, call);
  Give(call, std::chrono::steady_clock::now());
}

// Wakes the thread then, if it sleeps.
void PoolCore::SetLookTimer(Time at) {
  if (look_timer_at_ == at) return;
  look_timer_at_ = at;
  const auto since = std::max<std::int64_t>(1, nanoseconds(at.time_since_epoch()).count());
  itimerspec time{};
  time.it_value.tv_sec = static_cast<time_t>(since / 1'000'000'000);
  time.it_value.tv_nsec = static_cast<long>(since % 1'000'000'000);
  timerfd_settime(look_timer_.get(), TFD_TIMER_ABSTIME, &time, nullptr);
}

// Sees to it that nothing waits long behind a call that is not short after all.
void PoolCore::LookAtWaiting(Time now) {
  if (waiting_ == 0 || now < next_look_) return;
  next_look_ = now + kLook;
  const std::vector<WorkerPtr> running = running_;
  for (const WorkerPtr& worker : running) {
    if (worker->call == nullptr || worker->waiting.empty()) continue;
    ++worker->looks;
    // Begun before the last look and still running, or blocked: what waits here would have to wait for long.
    if (worker->begun || worker->call->blocked || worker->looks > kPatientLooks) {
      TakeBack(worker);
    } else {
      worker->begun = worker->channel->Taken(worker->call->number);
    }
  }
}

}  // namespace mayfly::runtime
