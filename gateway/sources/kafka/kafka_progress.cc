#include "gateway/sources/kafka/kafka_progress.h"

#include <algorithm>
#include <iterator>

#include "gateway/sources/text.h"

namespace mayfly::gateway {
namespace {

// "mayfly:1:3,20,1,7": from the offset on three are not settled, twenty are, one is not, seven are.
constexpr std::string_view kHead = "mayfly:1:";
constexpr std::size_t kMostBytes = 2'000;  // Kafka takes 4,096
constexpr std::int64_t kLongestRun = 1'000'000;

}  // namespace

KafkaProgress::KafkaProgress(std::int64_t offset, std::string_view note) : next_(offset) {
  if (!ConsumePrefix(&note, kHead)) return;
  std::set<std::int64_t> unsettled;
  std::int64_t at = offset;
  bool settled = false;
  for (const std::string_view word : Split(note, ',')) {
    const auto run = ToInteger(word);
    if (!run || *run < 1 || *run > kLongestRun) return;
    for (std::int64_t i = 0; !settled && i < *run; ++i) unsettled.insert(at + i);
    at += *run;
    settled = !settled;
  }
  next_ = at;
  unsettled_ = std::move(unsettled);
}

KafkaProgress::Arrival KafkaProgress::Arrive(std::int64_t offset) {
  if (offset <= arrived_) return Arrival::kReplaced;
  // What lay between is gone: compacted, deleted by its age, or a mark of a transaction.
  unsettled_.erase(unsettled_.upper_bound(arrived_), unsettled_.lower_bound(offset));
  arrived_ = offset;
  if (offset < next_) return unsettled_.contains(offset) ? Arrival::kNew : Arrival::kHad;
  next_ = offset + 1;
  unsettled_.insert(offset);
  return Arrival::kNew;
}

void KafkaProgress::ReachEnd(std::int64_t offset) {
  unsettled_.erase(unsettled_.upper_bound(arrived_), unsettled_.lower_bound(offset));
  arrived_ = std::max(arrived_, offset - 1);
  next_ = std::max(next_, offset);
}

void KafkaProgress::Rewind() { arrived_ = -1; }

void KafkaProgress::Merge(const KafkaProgress& other) {
  std::set<std::int64_t> unsettled;
  const auto open = [](const KafkaProgress& progress, std::int64_t offset) {
    return offset >= progress.next_ || progress.unsettled_.contains(offset);
  };
  for (const std::int64_t offset : unsettled_) {
    if (open(other, offset)) unsettled.insert(offset);
  }
  for (const std::int64_t offset : other.unsettled_) {
    if (open(*this, offset)) unsettled.insert(offset);
  }
  next_ = std::max(next_, other.next_);
  unsettled_ = std::move(unsettled);
}

std::string KafkaProgress::Note() const {
  if (unsettled_.empty()) return {};
  std::string note(kHead);
  std::string runs;
  bool any = false;
  std::int64_t at = *unsettled_.begin();
  for (auto it = unsettled_.begin(); it != unsettled_.end();) {
    std::int64_t end = at;
    while (it != unsettled_.end() && *it == end) {
      ++end;
      ++it;
    }
    const std::int64_t settled_end = it == unsettled_.end() ? next_ : *it;
    if (settled_end == end) break;  // unsettled to the end: nothing to say of it
    runs = (any ? "," : "") + std::to_string(end - at) + "," + std::to_string(settled_end - end);
    if (note.size() + runs.size() > kMostBytes || end - at > kLongestRun || settled_end - end > kLongestRun)
      break;
    note += runs;
    any = true;
    at = settled_end;
  }
  return any ? note : std::string();
}

}  // namespace mayfly::gateway
