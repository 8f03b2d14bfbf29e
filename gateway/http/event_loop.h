// An EventLoop is one thread that serves a share of the listener's connections.
//
// Everything its connections do happens on its thread. After each event it handles what the dispatcher has
// told in the meantime, and then sends what its connections have to say, so that answers to pipelined
// requests leave together. What connections begin goes to replicas once all events that were ready are handled.
//
// Adopt() and the Stop functions may be called on any thread; the rest belongs to the loop's.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_set>
#include <vector>

#include "base/gate.h"
#include "gateway/delivery/departures.h"
#include "gateway/delivery/dispatcher.h"
#include "gateway/http/deadlines.h"
#include "gateway/http/exchange.h"
#include "gateway/http/http_metrics.h"
#include "gateway/http/http_options.h"
#include "gateway/http/request_head.h"
#include "gateway/http/request_ids.h"
#include "gateway/routing/router.h"

namespace mayfly::gateway {

class Connection;

class EventLoop {
 public:
  // All must outlive the loop.
  EventLoop(const HttpOptions& options, const Router& router, Dispatcher& dispatcher, HttpMetrics& metrics);
  // REQUIRES: the loop's thread has ended.
  ~EventLoop();

  void Start(const std::string& thread_name);
  // Serves `socket` as long as `pass` is held.
  void Adopt(boost::asio::ip::tcp::socket socket, std::string peer, base::Gate::Pass pass);
  // Closes what is idle, and the rest once it has answered.
  void Drain();
  // Closes everything, with a 503 for each request whose answer has not begun, and ends the thread.
  void Stop();
  void Join() { thread_ = {}; }

  boost::asio::io_context& io() { return io_; }
  // Connections here; may be read on any thread.
  std::size_t connections() const { return connection_count_.load(std::memory_order_relaxed); }

  // For connections.
  const HttpOptions& options() const { return options_; }
  const Router& router() const { return router_; }
  Dispatcher& dispatcher() { return dispatcher_; }
  Departures& departures() { return departures_; }
  HttpMetrics& metrics() { return metrics_; }
  FunctionMetricsCache& function_metrics() { return function_metrics_; }
  Router::Reader& routes() { return routes_; }
  IdSource& ids() { return ids_; }
  Deadlines& deadlines() { return deadlines_; }
  const std::shared_ptr<Inbox>& inbox() const { return inbox_; }
  bool draining() const { return draining_; }
  // Where whatever is being read lies until the event is over.
  static constexpr std::size_t kScratchSize = 64 * 1024;
  char* scratch() { return scratch_.get(); }
  RequestHead& head() { return head_; }
  RequestPath& path() { return path_; }
  // Bytes of memory that the bodies of requests take here.
  std::size_t buffered() const { return buffered_; }
  // One body took `before` bytes and takes `now`.
  void ChangeBuffered(std::size_t before, std::size_t now);

  std::int64_t NowMs() const;
  std::int64_t NowUs() const;
  // Wall time: in milliseconds, as the Date header has it, and as RFC 3339 has it.
  std::uint64_t UnixMs();
  std::string_view Date();
  std::string_view Rfc3339();

  // Has the connection's output sent at the end of the event.
  void MarkDirty(std::shared_ptr<Connection> connection);
  void Forget(Connection& connection);
  // Ends an event: every handler of the loop calls it last.
  void Settle();

 private:
  void Tick();
  // Gives back to the system what a flood of bodies has left.
  void ReturnMemory();
  void UpdateTime();
  void ScheduleDepartures();

  const HttpOptions& options_;
  const Router& router_;
  Dispatcher& dispatcher_;
  HttpMetrics& metrics_;
  FunctionMetricsCache function_metrics_;
  Router::Reader routes_;
  IdSource ids_;

  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  boost::asio::steady_timer timer_;
  bool ticking_ = false;
  Deadlines deadlines_;
  const std::shared_ptr<Inbox> inbox_;
  std::vector<Inbox::Item> items_;
  Departures departures_;
  bool departing_ = false;  // SendAll() is posted
  std::vector<std::shared_ptr<Connection>> dirty_;
  std::vector<std::shared_ptr<Connection>> flushing_;
  std::unordered_set<std::shared_ptr<Connection>> all_;
  std::atomic<std::size_t> connection_count_ = 0;
  bool draining_ = false;
  std::unique_ptr<char[]> scratch_;
  RequestHead head_;
  RequestPath path_;
  std::size_t buffered_ = 0;
  std::size_t most_buffered_ = 0;  // since memory was returned
  std::int64_t returned_ms_ = 0;

  std::int64_t formatted_second_ = -1;
  char date_[32] = {};
  std::size_t date_size_ = 0;
  char rfc3339_[32] = {};

  std::jthread thread_;
};

}  // namespace mayfly::gateway
