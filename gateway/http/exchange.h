// An Exchange is one request and its answer, between a connection and the dispatcher.
//
// The dispatcher calls it on any thread; it hands everything over to its connection's event loop through the
// loop's Inbox. What follows `connection` belongs to the loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gateway/delivery/dispatcher.h"
#include "gateway/http/cloud_event.h"
#include "gateway/http/http_metrics.h"

namespace mayfly::gateway {

class Connection;
class Exchange;

// What the dispatcher has told to exchanges of one event loop and the loop has not seen yet. Wakes the loop
// once for all that came since it last looked. Thread-safe; outlives the loop as long as an exchange does.
class Inbox {
 public:
  struct Item {
    std::shared_ptr<Exchange> exchange;
    v1::ResponsePart part;
    // A call of OnWritable() instead of a part.
    bool writable = false;
  };

  // `wake` makes the loop call TakeAll() soon; it is called on any thread.
  void Open(std::function<void()> wake);
  // Drops what is there and what comes later.
  void Close();
  // The loop's own thread looks after everything it does, and need not be woken.
  void SetOwner(std::thread::id owner) { owner_ = owner; }

  void Put(Item item);
  // Replaces `*items` by what came.
  void TakeAll(std::vector<Item>* items);

 private:
  std::thread::id owner_;
  // Guards what follows.
  std::mutex mutex_;
  std::function<void()> wake_;
  bool woken_ = false;
  std::vector<Item> items_;
};

class Exchange final : public AnswerSink, public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(std::shared_ptr<Inbox> inbox, Connection* owner) : connection(owner), inbox_(std::move(inbox)) {}

  void OnPart(v1::ResponsePart&& part) override { inbox_->Put({shared_from_this(), std::move(part), false}); }
  void OnWritable() override { inbox_->Put({shared_from_this(), {}, true}); }

  // nullptr once the connection has let go.
  Connection* connection;

  DispatchRequest request;
  std::unique_ptr<Dispatched> dispatched;
  std::string request_id;
  // Set if metering is wanted.
  std::string invocation_id;
  std::string method;
  FunctionMetrics* metrics = nullptr;
  EventMode event_mode = EventMode::kRequest;
  bool http10 = false;
  bool keep_alive = true;
  bool wants_metering = false;
  // OnWritable() came since the last Write().
  bool writable = false;
  bool answer_begun = false;
  bool answer_has_body = true;
  bool answer_chunked = false;
  int status = 0;
  // What is left of a Content-Length that the function gave to a streamed answer.
  std::optional<std::uint64_t> length_left;
  // Bytes of the answer's data that wait in the output and are not granted again yet.
  std::uint64_t ungranted = 0;
  std::int64_t began_us = 0;

 private:
  const std::shared_ptr<Inbox> inbox_;
};

}  // namespace mayfly::gateway
