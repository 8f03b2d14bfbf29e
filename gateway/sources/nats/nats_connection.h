// A NatsConnection is one connection to a NATS server, or to one of a cluster: it publishes, and hands what comes to a
// NatsInbox. It does not come back by itself once it is lost; whoever has it makes another.
//
// The one place that knows libnats. Of its JetStream part nothing is used: in the version that Debian has, pulling blocks a
// thread for each consumer and has no heartbeats, while the protocol underneath is messages like any others.
//
// Not thread-safe, save the inbox. libnats has two threads for each connection and one for all their messages.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

struct __natsMsg;  // libnats has no better name for it

namespace mayfly::gateway {

struct NatsConnectionSettings {
  // "nats://host:port", or "tls://host:port".
  std::vector<std::string> servers;
  std::string client_name;
  // Each may be "".
  std::string username;
  std::string password;
  std::string token;
  std::string nkey_seed;
  std::string creds;        // the text of a .creds file
  std::string ca;           // PEM
  std::string certificate;  // PEM, with key
  std::string key;

  auto operator<=>(const NatsConnectionSettings&) const = default;
};

class NatsMessage {
 public:
  explicit NatsMessage(__natsMsg* message) : message_(message) {}

  std::string_view subject() const;
  std::string_view reply() const;
  std::string_view data() const;
  // The first value of a header; "" if there is none. `name` as it was sent, case included.
  std::string_view Header(const char* name) const;
  // All of them, one value each.
  std::vector<std::pair<std::string, std::string>> Headers() const;

 private:
  struct Destroy {
    void operator()(__natsMsg* message) const;
  };
  std::unique_ptr<__natsMsg, Destroy> message_;
};

// What came: from any of libnats's threads to whoever waits. Thread-safe.
class NatsInbox {
 public:
  struct Item {
    enum class Kind {
      kMessage,
      kDrained,  // `subscription` gets nothing more
      kError,    // what the server complained about, as `text`; the connection goes on
      kClosed,   // the connection is over, for the reason in `text`
    };
    Kind kind = Kind::kMessage;
    std::uint64_t connection = 0;
    std::uint64_t subscription = 0;
    std::unique_ptr<NatsMessage> message{};
    std::string text{};
  };

  void Put(Item item);
  // Wakes who waits.
  void Wake();
  // Waits for an item or Wake(), until `deadline` or `stop`, and takes `most` items at most.
  std::vector<Item> Take(const base::Clock& clock, const std::stop_token& stop, base::MonotonicTime deadline,
                         std::size_t most);

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<Item> items_;  // guarded by mutex_
  bool woken_ = false;       // guarded by mutex_
};

class NatsConnection {
 public:
  // Blocks for two seconds a server at most. The error has the server's own words.
  static absl::StatusOr<std::unique_ptr<NatsConnection>> Connect(const NatsConnectionSettings& settings,
                                                                 std::shared_ptr<NatsInbox> inbox);
  // Nothing of it comes to the inbox that was not on its way.
  ~NatsConnection();

  // Of its items in the inbox.
  std::uint64_t id() const { return id_; }

  // Into a buffer that is sent soon; an error if the connection is over.
  absl::Status Publish(const std::string& subject, const std::string& reply, std::string_view data);
  absl::Status PublishWithHeaders(const std::string& subject, const std::string& reply, std::string_view data,
                                  const std::vector<std::pair<std::string, std::string>>& headers);
  // Returns its number.
  absl::StatusOr<std::uint64_t> Subscribe(const std::string& subject);
  void Unsubscribe(std::uint64_t subscription);
  // Unsubscribes, but hands out what is on its way; kDrained comes after it.
  void Drain(std::uint64_t subscription);
  // Returns once the server has read all that was published.
  absl::Status Flush(std::chrono::milliseconds within);

 private:
  struct Impl;
  explicit NatsConnection(std::unique_ptr<Impl> impl);

  const std::uint64_t id_;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace mayfly::gateway
