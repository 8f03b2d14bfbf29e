// What a Redis server says, read by hiredis; and commands as it wants them.
//
// A server is believed no further than its bytes: a reply grows as they come, whatever length it announces, and is bounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

struct redisReader;  // of hiredis

namespace mayfly::gateway {

struct RedisReply {
  enum class Kind { kNil, kInteger, kText, kStatus, kError, kArray };

  Kind kind = Kind::kNil;
  std::int64_t integer = 0;
  std::string text;  // with kText, kStatus and kError
  std::vector<RedisReply> items;

  bool is_nil() const { return kind == Kind::kNil; }
  bool is_integer() const { return kind == Kind::kInteger; }
  bool is_text() const { return kind == Kind::kText || kind == Kind::kStatus; }
  bool is_error() const { return kind == Kind::kError; }
  bool is_array() const { return kind == Kind::kArray; }

  // Of an array of names and values in turn; null if there is no such name.
  const RedisReply* Find(std::string_view name) const;
};

// Not thread-safe.
class RedisReader {
 public:
  // Of one reply, in bytes.
  static constexpr std::size_t kMostBytes = std::size_t{256} << 20;

  RedisReader();

  void Feed(std::string_view bytes);
  // True once a whole reply is there, which is then in `reply`. kFailedPrecondition if it is no reply of Redis; nothing can be
  // read after that.
  absl::StatusOr<bool> Next(RedisReply* reply);

 private:
  struct Free {
    void operator()(redisReader* reader) const;
  };
  std::unique_ptr<redisReader, Free> reader_;
  std::size_t fed_ = 0;  // since the last whole reply
};

// Appends a command to what is to be sent.
void AppendRedisCommand(const std::vector<std::string>& words, std::string* out);

}  // namespace mayfly::gateway
