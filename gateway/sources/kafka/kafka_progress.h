// A KafkaProgress is how far one partition is settled: what is in flight, what is done, and what to commit.
//
// Kafka keeps one number for a partition, the offset from which the next consumer reads. Events end in any order, so that
// number is the lowest offset that is not settled, and what is settled beyond it would come again. So it goes along with the
// number, in the text that Kafka keeps beside it (KafkaProgress::Note), and whoever gets the partition next skips it.
//
// Pure. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

namespace mayfly::gateway {

class KafkaProgress {
 public:
  // As committed at `offset`, with the `note` beside it: "", or of others, if it says nothing to us.
  explicit KafkaProgress(std::int64_t offset, std::string_view note = {});

  enum class Arrival {
    kNew,       // push it
    kHad,       // it is settled, or in flight: drop it
    kReplaced,  // offsets have begun anew, as in a topic of the same name that was made after this one was deleted
  };
  // A message has come from the server. After the first, offsets only grow. After kReplaced, make another progress.
  Arrival Arrive(std::int64_t offset);
  // There is nothing before `offset` but what has come, though the server counts on: gaps are its own business.
  void ReachEnd(std::int64_t offset);
  void Settle(std::int64_t offset) { unsettled_.erase(offset); }

  // Reading begins anew, from offset(): what was in flight will come again.
  void Rewind();
  // Adds what `other`, of the same partition, knows to be settled.
  void Merge(const KafkaProgress& other);

  // What to commit, and where to read from after Rewind(): the lowest offset that is not settled.
  std::int64_t offset() const { return unsettled_.empty() ? next_ : *unsettled_.begin(); }
  // Which of those from offset() on are settled; "" if none are. Of 2,000 bytes at most: what does not fit is left out, and
  // would come again.
  std::string Note() const;

  // After the last of which anything is known.
  std::int64_t next() const { return next_; }
  // In flight, or known to be unsettled from before.
  std::size_t unsettled() const { return unsettled_.size(); }

 private:
  std::int64_t next_ = 0;
  // All before next_ that are not settled. What has come of them in this life is up to arrived_.
  std::set<std::int64_t> unsettled_;
  std::int64_t arrived_ = -1;
};

}  // namespace mayfly::gateway
