// A Redis server under a test, and a client of it, by the source's own connection.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/sources/redis/redis_connection.h"
#include "tests/servers/server_process.h"

namespace mayfly::testing {

class RedisTestServer {
 public:
  using Fields = std::vector<std::pair<std::string, std::string>>;

  // With `configuration` in its redis.conf, and `arguments` besides; the test's own client comes as `client` says, whose
  // address is of no matter.
  explicit RedisTestServer(const std::string& configuration = "", std::vector<std::string> arguments = {},
                           gateway::RedisServer client = {});

  ServerProcess& process() { return server_; }
  // Starts it again, on the same port and data.
  void StartAgain();
  std::string address() const;

  // What the server answers; an error of its own is one of the replies.
  gateway::RedisReply Ask(const std::vector<std::string>& words);
  // … whose answer is no error, or the test fails.
  gateway::RedisReply Run(const std::vector<std::string>& words);
  // Returns the ID of an entry once the server has it.
  std::string Add(const std::string& stream, const Fields& fields);
  // How many entries of `stream` are handed out to `group` and not acknowledged; -1: there is no such group.
  std::int64_t Pending(const std::string& stream, const std::string& group);
  // What XINFO GROUPS says of it under `name`.
  gateway::RedisReply GroupInfo(const std::string& stream, const std::string& group, const std::string& name);

 private:
  absl::StatusOr<gateway::RedisReply> AskOnce(const std::vector<std::string>& words);

  ServerProcess server_;
  gateway::RedisServer settings_;
  gateway::SslContext tls_;
  std::unique_ptr<gateway::RedisConnection> client_;
};

}  // namespace mayfly::testing
