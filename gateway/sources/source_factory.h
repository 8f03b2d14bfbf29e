// A SourceFactory makes the sources of one kind from triggers' typed settings.
//
// A kind is a cell: its message in proto/mayfly/v1/triggers.proto, its folder gateway/sources/KIND with a source and a
// factory, its reader in operator/api/triggers, and one line in the list that SourceFactories is made of.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "gateway/sources/source.h"
#include "gateway/sources/trigger_key.h"
#include "mayfly/v1/triggers.pb.h"

namespace mayfly::gateway {

struct SourceContext {
  TriggerKey key;
  // As the last source of this trigger has saved it; "": none has.
  std::string cursor;
  // Of the lease of a trigger that has one owner: goes with whatever the source does upstream, where the server can
  // refuse an older one. 0: nobody leases it.
  std::uint64_t epoch = 0;
  const base::Clock* clock = nullptr;  // outlives the source
};

class RequestReceiver;

class SourceFactory {
 public:
  virtual ~SourceFactory() = default;

  virtual v1::EventTrigger::SourceCase kind() const = 0;
  // At most one gateway may have this kind's source of a trigger at a time: the operator leases it.
  virtual bool exclusive() const = 0;

  // A source that is not started. kInvalidArgument names the setting that is wrong, and how to mend it. Must not block.
  virtual absl::StatusOr<std::unique_ptr<EventSource>> Make(const v1::EventTrigger& trigger,
                                                            const SourceContext& context) = 0;

  // Takes the requests that bring this kind's events; null if none do. As long as the factory.
  virtual RequestReceiver* receiver() { return nullptr; }
};

// Every kind that this program serves.
using SourceFactories = std::vector<std::unique_ptr<SourceFactory>>;

}  // namespace mayfly::gateway
