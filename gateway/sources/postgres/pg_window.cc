#include "gateway/sources/postgres/pg_window.h"

#include <algorithm>

namespace mayfly::gateway {
namespace {

// What is released comes again, but not so soon that what refused it has had no time.
constexpr std::chrono::milliseconds kReleased{200};

}  // namespace

bool PgWindow::Begin(Lsn commit) {
  if (commit < confirmed_) {
    open_ = 0;
    return false;
  }
  open_ = commit;
  transactions_.try_emplace(commit);
  return true;
}

bool PgWindow::Wants(const PgPlace& place) const {
  const auto transaction = transactions_.find(place.commit);
  return transaction != transactions_.end() && transaction->second.past < place &&
         !transaction->second.entries.contains(place);
}

void PgWindow::Add(const PgPlace& place, SourceEvent event) {
  Entry entry;
  entry.size = event.body.size();
  entry.event = std::make_unique<SourceEvent>(std::move(event));
  entry.event->deliveries = 0;
  bytes_ += entry.size;
  waiting_bytes_ += entry.size;
  ++known_;
  const auto added = transactions_[place.commit].entries.emplace(place, std::move(entry)).first;
  waiting_.emplace(place, &added->second);
}

void PgWindow::Commit(Lsn end) {
  const auto transaction = transactions_.find(open_);
  open_ = 0;
  reached_ = std::max(reached_, end);
  if (transaction == transactions_.end()) return;
  transaction->second.end = end;
  Trim(transaction);
}

void PgWindow::Reach(Lsn end) {
  if (open_ != 0) return;
  reached_ = std::max(reached_, end);
  Confirm();
}

PgWindow::Entry* PgWindow::Find(const PgPlace& place) {
  const auto transaction = transactions_.find(place.commit);
  if (transaction == transactions_.end()) return nullptr;
  const auto entry = transaction->second.entries.find(place);
  return entry == transaction->second.entries.end() ? nullptr : &entry->second;
}

std::vector<SourceEvent> PgWindow::Take(std::size_t most, base::MonotonicTime now) {
  std::erase_if(released_, [&](const auto& released) {
    if (released.first > now) return false;
    if (Entry* const entry = Find(released.second)) waiting_.emplace(released.second, entry);
    return true;
  });
  std::vector<SourceEvent> events;
  while (events.size() < most && !waiting_.empty()) {
    const auto first = waiting_.begin();
    Entry& entry = *first->second;
    entry.state = State::kHeld;
    entry.token = next_token_++;
    entry.event->token = entry.token;
    entry.event->deliveries++;
    tokens_.emplace(entry.token, first->first);
    waiting_bytes_ -= entry.size;
    waiting_.erase(first);
    events.push_back(*entry.event);
  }
  return events;
}

void PgWindow::Settle(EventToken token, bool done, base::MonotonicTime now) {
  const auto held = tokens_.find(token);
  if (held == tokens_.end()) return;
  const PgPlace place = held->second;
  tokens_.erase(held);
  Entry* const entry = Find(place);
  if (entry == nullptr) return;
  if (!done) {
    entry->state = State::kWaiting;
    waiting_bytes_ += entry->size;
    released_.emplace_back(now + kReleased, place);
    return;
  }
  entry->state = State::kDone;
  bytes_ -= entry->size;
  entry->event.reset();
  Trim(transactions_.find(place.commit));
}

std::optional<base::MonotonicTime> PgWindow::NextRelease() const {
  std::optional<base::MonotonicTime> next;
  for (const auto& [at, place] : released_) {
    if (!next || at < *next) next = at;
  }
  return next;
}

std::vector<EventToken> PgWindow::Held() const {
  std::vector<EventToken> held;
  held.reserve(tokens_.size());
  for (const auto& [token, place] : tokens_) held.push_back(token);
  return held;
}

void PgWindow::LetGo() {
  for (auto& [commit, transaction] : transactions_) {
    const std::size_t before = transaction.entries.size();
    std::erase_if(transaction.entries, [](const auto& entry) { return entry.second.state != State::kDone; });
    known_ -= before - transaction.entries.size();
    // What is missing is read again, to its end.
    transaction.end = 0;
  }
  waiting_.clear();
  released_.clear();
  tokens_.clear();
  bytes_ = waiting_bytes_ = 0;
  open_ = 0;
  reached_ = confirmed_;
}

void PgWindow::Advance(Lsn confirmed) {
  if (confirmed <= confirmed_) return;
  confirmed_ = confirmed;
  reached_ = std::max(reached_, confirmed);
  for (auto it = transactions_.begin(); it != transactions_.end() && it->first < confirmed;) {
    for (const auto& [place, entry] : it->second.entries) {
      --known_;
      if (entry.state == State::kDone) continue;
      bytes_ -= entry.size;
      if (entry.state == State::kHeld) {
        tokens_.erase(entry.token);
      } else {
        waiting_bytes_ -= entry.size;
        waiting_.erase(place);
      }
    }
    it = transactions_.erase(it);
  }
  std::erase_if(released_, [&](const auto& released) { return released.second.commit < confirmed; });
}

void PgWindow::Trim(std::map<Lsn, Transaction>::iterator transaction) {
  auto& entries = transaction->second.entries;
  while (!entries.empty() && entries.begin()->second.state == State::kDone) {
    transaction->second.past = entries.begin()->first;
    entries.erase(entries.begin());
    --known_;
  }
  Confirm();
}

void PgWindow::Confirm() {
  while (!transactions_.empty()) {
    const auto first = transactions_.begin();
    if (first->second.end == 0 || !first->second.entries.empty()) return;
    confirmed_ = std::max(confirmed_, first->second.end);
    transactions_.erase(first);
  }
  confirmed_ = std::max(confirmed_, reached_);
}

}  // namespace mayfly::gateway
