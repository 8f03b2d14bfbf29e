// What one HTTP listener accepts, and for how long. Every figure bounds what a client can cost.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace mayfly::gateway {

struct HttpLimits {
  // "GET /path HTTP/1.1": more is refused with 414.
  std::size_t request_line_bytes = 8 * 1024;
  // The whole head, request line included: more is refused with 431.
  std::size_t head_bytes = 32 * 1024;
  std::size_t header_count = 100;
  // All trailers of a chunked body, and all its chunk extensions.
  std::size_t trailer_bytes = 8 * 1024;
  std::size_t chunk_extension_bytes = 4 * 1024;
};

struct HttpOptions {
  // "HOST:PORT"; port 0 takes a free one.
  std::string address = "127.0.0.1:8080";
  // Event loops, one thread each. 0: one per core.
  unsigned threads = 0;

  HttpLimits limits;
  // Of a function that does not say.
  std::uint64_t max_request_bytes = 32 * 1024 * 1024;
  std::chrono::milliseconds default_timeout{60'000};

  // Connections at once; one more is answered 503 and closed. No more than three quarters of the descriptors that the
  // process may open when the server starts: the rest is for replicas.
  std::size_t max_connections = 20'000;
  // From the first byte of a head, or from the connection's start, to the head's end.
  std::chrono::milliseconds header_timeout{10'000};
  // Between two requests.
  std::chrono::milliseconds idle_timeout{75'000};
  // A body up to this size is there whole before its invocation takes a slot; of a larger one, this much is.
  std::size_t buffered_body_bytes = 1024 * 1024;
  // What bodies may take of one event loop's memory, from when they come until their replica takes the rest or they
  // are answered: beyond half of it the first 64 KiB of each are enough, and beyond all of it they are refused with 503.
  std::size_t buffered_bytes = 256 * 1024 * 1024;
  // A body that is waited for must bring `min_body_rate` bytes per second, counted over periods of this length; and
  // `min_streaming_rate` once its invocation has a slot, which others wait for.
  std::chrono::milliseconds body_period{10'000};
  std::uint64_t min_body_rate = 1024;
  std::uint64_t min_streaming_rate = 16 * 1024;
  // A client must take `min_answer_rate` bytes per second, counted over periods of this length, while there
  // are any.
  std::chrono::milliseconds write_period{15'000};
  std::uint64_t min_answer_rate = 256;
  // How long after the function's timeout an answer that does not come at all is given up.
  std::chrono::milliseconds answer_grace{5'000};
  // After this long without an answer a client that has shut down its sending side, or closed, is sent an interim answer,
  // and again after twice as long: one that has closed answers with a reset.
  std::chrono::milliseconds half_close_probe{1'000};
  // How long what the client still sends is read and thrown away after the last answer of a connection, so
  // that the answer is not lost to a reset.
  std::chrono::milliseconds linger{2'000};

  // Whether /_mayfly/invocations/ID is handed to the dispatcher, as a request without a route.
  bool invocations = false;

  // How many proxies in front of this listener are trusted. 0: X-Forwarded-* and Forwarded of the client are
  // replaced; otherwise they are kept and this connection is added to X-Forwarded-For.
  unsigned trusted_hops = 0;
};

}  // namespace mayfly::gateway
