// A realistic sample of what a trigger gets, as a request to a local gateway: as its service would send it, signed where it
// signs.
//
//   http        a request to its path
//   cron        a firing of now, to the function by its name, whose caller does not wait
//   postgres    the insert of a row, likewise
//   kafka       a record of its first topic, likewise, past the broker
//   redis       an entry of its first stream, likewise, past the server
//   webhook     what its service posts, with fresh ids and times; by SNS: none, since nobody but Amazon can sign it
//
// Functions here are pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "operator/api/function.h"

namespace mayfly::cli {

struct TriggerSample {
  std::string method = "POST";
  std::string path;
  std::string host;  // "": as the gateway is reached
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

// `secret`: what is in the trigger's Secret. `now`: seconds since 1970. `id`: makes the event's own unique.
// kUnimplemented for a kind of which no sample can be made, and what to do instead.
absl::StatusOr<TriggerSample> MakeTriggerSample(const op::Function& function, const op::Trigger& trigger,
                                                const std::map<std::string, std::string>& secret,
                                                std::int64_t now, const std::string& id);

}  // namespace mayfly::cli
