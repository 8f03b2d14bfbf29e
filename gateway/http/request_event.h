// Turns the head of an HTTP request into the event that a function sees.
//
// Hop-by-hop headers are gone; X-Forwarded-For, -Proto and -Host, X-Request-Id, traceparent and tracestate
// are the gateway's. An event is the client's if the request carries one (CloudEvents 1.0, HTTP binding): in
// binary mode by its ce- headers, in structured mode (application/cloudevents+json) by its body. Otherwise it
// is made: id = the request's id, source = the path, type = dev.mayfly.http.request.
//
// Functions here are pure.
#pragma once

#include <string>
#include <string_view>

#include "gateway/http/cloud_event.h"
#include "gateway/http/refusal.h"
#include "gateway/http/request_head.h"
#include "gateway/http/request_ids.h"
#include "gateway/routing/route_table.h"
#include "mayfly/v1/runtime.pb.h"

namespace mayfly::gateway {

struct RequestOrigin {
  // The client's address, without its port.
  std::string_view peer;
  std::string_view request_id;
  // RFC 3339.
  std::string_view time;
  unsigned trusted_hops = 0;
};

// Fills `*event` from `head`. In structured mode the attributes are missing yet.
Refusal FillEvent(const RequestHead& head, const RouteMatch& match, const TraceContext& trace,
                  const RequestOrigin& origin, EventMode mode, v1::Event* event);

}  // namespace mayfly::gateway
