// What all functions of one Activator share. Lives as long as the Activator.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/clock.h"
#include "base/metrics.h"
#include "gateway/activation/deadline_wheel.h"
#include "gateway/activation/demand_reporter.h"
#include "gateway/activation/standby_streams.h"
#include "gateway/delivery/delivery_loop.h"
#include "gateway/metering/usage_recorder.h"

namespace grpc {
class ChannelCredentials;
}

namespace mayfly::gateway {

struct ActivationContext {
  const base::Clock& clock;
  base::Metrics& metrics;
  DeadlineWheel& wheel;
  DemandReporter& demand;
  DeliveryLoop& loop;
  StandbyStreams& standby;
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  UsageRecorder* usage = nullptr;  // null: nothing is written down
  // Invocations that have begun and have no result yet.
  std::atomic<std::int64_t> unfinished{0};
  // Functions that have come so far, those that came again among them.
  std::atomic<std::uint64_t> lives{0};
};

}  // namespace mayfly::gateway
