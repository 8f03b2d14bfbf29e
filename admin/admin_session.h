// One connection to an AdminServer: reads requests one after the other, answers each.
//
// What it takes of memory and time is bounded: heads of 16 KiB, bodies of 1 MiB, 5 s for each read or write.
// The server's events run on the strand that its socket was accepted on.
#pragma once

#include <atomic>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <functional>
#include <memory>

#include "admin/admin_server.h"

namespace mayfly::admin {

using SessionSocket =
    boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol,
                                     boost::asio::strand<boost::asio::io_context::executor_type>>;

// How many connections there are. Those past the most are closed at once: probes and scrapers are few.
struct SessionLimit {
  static constexpr int kMost = 64;
  std::atomic<int> open{0};
};

void StartSession(SessionSocket socket, std::shared_ptr<SessionLimit> limit,
                  std::function<Reply(const Request&)> answer);

}  // namespace mayfly::admin
