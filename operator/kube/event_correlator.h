// An EventCorrelator decides what becomes of an event that somebody wants to record: a new Event object, a
// higher count of one that is there, or nothing.
//
//   the same again (object, type, reason, message) within the window    count + 1 on the Event that is there
//   many that differ in the message only                                 one Event, "(combined from similar events): …"
//   one object that has more than its share                              nothing
//
// What it remembers is bounded; what was not heard of longest is forgotten first. No threads; time is an
// argument.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/clock.h"

namespace mayfly::kube {

// What an event is about.
struct ObjectReference {
  std::string api_version;
  std::string kind;
  std::string space;  // "" if the kind has none
  std::string name;
  std::string uid;

  bool operator==(const ObjectReference&) const = default;
};

struct EventNote {
  ObjectReference regarding;
  bool warning = false;
  std::string reason;   // one CamelCase word
  std::string message;  // a sentence
};

// The Event object to write.
struct EventWrite {
  std::string name;   // of the Event
  bool fresh = true;  // to be made; else to be patched
  std::int64_t count = 1;
  std::string message;
  base::WallTime first;
  base::WallTime last;
};

class EventCorrelator {
 public:
  struct Limits {
    std::chrono::seconds window{600};
    std::size_t similar = 10;       // messages of one reason before they are combined
    double burst = 25;              // events of one object …
    double per_second = 1.0 / 60;   // … and how many come back
    std::size_t remembered = 4096;  // events, and as many objects
  };

  explicit EventCorrelator(Limits limits) : limits_(limits) {}

  // What to write for `note`; nothing if its object has had its share.
  std::optional<EventWrite> Correlate(const EventNote& note, base::MonotonicTime now, base::WallTime wall);
  // The Event `name` does not exist any more (they live an hour): the next one like it is made anew.
  void Forget(const EventNote& note);

 private:
  // Values by key, the least used of which go first.
  template <typename Value>
  class Recent {
   public:
    explicit Recent(std::size_t most) : most_(most) {}
    Value& Touch(const std::string& key);
    void Erase(const std::string& key);

   private:
    using Order = std::list<std::pair<std::string, Value>>;
    const std::size_t most_;
    Order order_;  // newest first
    std::unordered_map<std::string, typename Order::iterator> places_;
  };

  struct Bucket {
    double tokens = -1;  // negative: new
    base::MonotonicTime filled;
  };
  struct Similar {
    std::set<std::size_t> messages;  // their hashes
    base::MonotonicTime last;
  };
  struct Written {
    std::string name;
    std::int64_t count = 0;
    base::WallTime first;
    base::MonotonicTime last;
  };

  bool TakeToken(const std::string& object, base::MonotonicTime now);
  bool Combines(const std::string& group, const std::string& message, base::MonotonicTime now);

  const Limits limits_;
  Recent<Bucket> buckets_{limits_.remembered};
  Recent<Similar> similar_{limits_.remembered};
  Recent<Written> written_{limits_.remembered};
  std::uint64_t names_ = 0;
};

}  // namespace mayfly::kube
