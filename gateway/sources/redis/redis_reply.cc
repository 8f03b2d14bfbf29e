#include "gateway/sources/redis/redis_reply.h"

#include <fmt/format.h>
#include <hiredis/hiredis.h>

#include "base/utf8.h"

namespace mayfly::gateway {
namespace {

// Where the reply that `task` is about belongs: in its array, or on its own.
RedisReply* Place(const redisReadTask* task) {
  if (task->parent == nullptr)
    return std::make_unique<RedisReply>().release();  // the reader's, until it is whole
  auto* const parent = static_cast<RedisReply*>(task->parent->obj);
  // What came before it is whole: nobody has a pointer to it.
  return &parent->items.emplace_back();
}

void* MakeText(const redisReadTask* task, char* text, std::size_t size) {
  RedisReply* const reply = Place(task);
  reply->kind = task->type == REDIS_REPLY_ERROR    ? RedisReply::Kind::kError
                : task->type == REDIS_REPLY_STATUS ? RedisReply::Kind::kStatus
                                                   : RedisReply::Kind::kText;
  reply->text.assign(text, size);
  return reply;
}

void* MakeArray(const redisReadTask* task, int) {
  RedisReply* const reply = Place(task);
  reply->kind = RedisReply::Kind::kArray;
  return reply;
}

void* MakeInteger(const redisReadTask* task, long long value) {
  RedisReply* const reply = Place(task);
  reply->kind = RedisReply::Kind::kInteger;
  reply->integer = value;
  return reply;
}

void* MakeNil(const redisReadTask* task) { return Place(task); }

void FreeReply(void* reply) { const std::unique_ptr<RedisReply> owned(static_cast<RedisReply*>(reply)); }

redisReplyObjectFunctions* Functions() {
  static redisReplyObjectFunctions functions = {MakeText, MakeArray, MakeInteger, MakeNil, FreeReply};
  return &functions;
}

}  // namespace

const RedisReply* RedisReply::Find(std::string_view name) const {
  for (std::size_t n = 0; n + 1 < items.size(); n += 2) {
    if (items[n].is_text() && items[n].text == name) return &items[n + 1];
  }
  return nullptr;
}

void RedisReader::Free::operator()(redisReader* reader) const { redisReaderFree(reader); }

RedisReader::RedisReader() : reader_(redisReaderCreateWithFunctions(Functions())) {}

void RedisReader::Feed(std::string_view bytes) {
  fed_ += bytes.size();
  redisReaderFeed(reader_.get(), bytes.data(), bytes.size());
}

absl::StatusOr<bool> RedisReader::Next(RedisReply* reply) {
  void* read = nullptr;
  if (redisReaderGetReply(reader_.get(), &read) != REDIS_OK) {
    return absl::FailedPreconditionError(fmt::format("what the server says is not Redis's protocol: {}",
                                                     base::CleanUtf8(redisReaderGetError(reader_.get()))));
  }
  if (read == nullptr) {
    if (fed_ <= kMostBytes) return false;
    return absl::FailedPreconditionError(
        fmt::format("the server's reply is larger than {} MiB", kMostBytes >> 20));
  }
  const std::unique_ptr<RedisReply> whole(static_cast<RedisReply*>(read));
  *reply = std::move(*whole);
  fed_ = 0;
  return true;
}

void AppendRedisCommand(const std::vector<std::string>& words, std::string* out) {
  std::vector<const char*> texts;
  std::vector<std::size_t> sizes;
  texts.reserve(words.size());
  sizes.reserve(words.size());
  for (const std::string& word : words) {
    texts.push_back(word.data());
    sizes.push_back(word.size());
  }
  char* formatted = nullptr;
  const int size =
      redisFormatCommandArgv(&formatted, static_cast<int>(words.size()), texts.data(), sizes.data());
  if (size > 0) out->append(formatted, static_cast<std::size_t>(size));
  redisFreeCommand(formatted);
}

}  // namespace mayfly::gateway
