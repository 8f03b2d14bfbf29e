#include "runtime/worker/host.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "base/utf8.h"
#include "runtime/ipc/header_text.h"
#include "runtime/ipc/layout.h"
#include "runtime/worker/module.h"

namespace mayfly::worker {
namespace {

constexpr std::size_t kMaxHeaderBytes = 32u << 10;
constexpr std::size_t kMaxLogText = 16u << 10;
constexpr std::size_t kMaxFailText = 4u << 10;

std::atomic<int> log_descriptor{2};
std::atomic<Channel*> current_channel{nullptr};
pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;

std::string_view View(mayfly_str text) { return {text.data, text.size}; }

std::atomic<Response*> only_response{nullptr};
std::atomic<const mayfly_response*> open_handle{nullptr};

template <typename... Parameters, typename... Arguments>
int Call(mayfly_response* handle, int (Response::*method)(Parameters...), Arguments... arguments) {
  Response* const response = Response::Of(handle);
  return response != nullptr ? (response->*method)(arguments...) : ESTALE;
}

// One line for the runtime: 0x01, the level's digit, the invocation's number, a blank, the escaped text.
void Log(const mayfly_host*, mayfly_level level, mayfly_str text) {
  const std::string_view cut = base::CutUtf8(View(text), kMaxLogText);
  std::string line;
  line.reserve(cut.size() + 32);
  const Channel* channel = current_channel.load(std::memory_order_acquire);
  line += '\x01';
  line += static_cast<char>('0' + std::clamp(static_cast<int>(level), 0, 3));
  line += std::to_string(channel != nullptr ? channel->sequence() : 0);
  line += ' ';
  for (const char c : cut) {
    if (c == '\n') {
      line += "\\n";
    } else if (c == '\r') {
      line += "\\r";
    } else if (c == '\\') {
      line += "\\\\";
    } else {
      line += c;
    }
  }
  line += '\n';
  // Lines longer than PIPE_BUF must not mix with those of other threads.
  pthread_mutex_lock(&log_mutex);
  const char* at = line.data();
  std::size_t left = line.size();
  while (left > 0) {
    const ssize_t written = write(log_descriptor.load(std::memory_order_relaxed), at, left);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    at += written;
    left -= static_cast<std::size_t>(written);
  }
  pthread_mutex_unlock(&log_mutex);
}

const mayfly_host host = {
    .size = sizeof(mayfly_host),
    .abi_version = MAYFLY_ABI_VERSION,
    .reserved = 0,
    .log = Log,
    .reply =
        [](mayfly_response* response, std::uint32_t status, mayfly_str content_type, const void* body,
           std::size_t size) { return Call(response, &Response::Reply, status, content_type, body, size); },
    .add_header = [](mayfly_response* response, mayfly_str name,
                     mayfly_str value) { return Call(response, &Response::AddHeader, name, value); },
    .begin = [](mayfly_response* response, std::uint32_t status,
                mayfly_str content_type) { return Call(response, &Response::Begin, status, content_type); },
    .write = [](mayfly_response* response, const void* data,
                std::size_t size) { return Call(response, &Response::Write, data, size); },
    .end = [](mayfly_response* response) { return Call(response, &Response::End); },
    .fail = [](mayfly_response* response,
               mayfly_str message) { return Call(response, &Response::Fail, message); },
    .set_error = [](mayfly_error* error,
                    mayfly_str message) { error->text.assign(message.data, message.size); },
};

}  // namespace

Response::Response(Channel& channel) : channel_(channel) { only_response.store(this); }

mayfly_response* Response::Open() {
  // A number that no later invocation has, in the shape of a pointer that is not null.
  constexpr std::uintptr_t kUnit = 16;
  auto* const handle = reinterpret_cast<mayfly_response*>(++opened_ * kUnit);
  open_handle.store(handle, std::memory_order_release);
  return handle;
}

void Response::Close() { open_handle.store(nullptr, std::memory_order_release); }

Response* Response::Of(const mayfly_response* handle) {
  return handle != nullptr && handle == open_handle.load(std::memory_order_acquire)
             ? only_response.load(std::memory_order_relaxed)
             : nullptr;
}

int Response::AlreadyAnswered() {
  answered_twice_ = true;
  return EALREADY;
}

int Response::Head(std::uint32_t status, mayfly_str content_type) {
  if (status < 100 || status > 599 || !ipc::IsHeaderValue(View(content_type))) return EINVAL;
  if (content_type.size > kMaxHeaderBytes) return EINVAL;
  std::string type_header;
  std::uint32_t count = header_count_;
  if (content_type.size != 0) {
    static constexpr char kName[] = "content-type";
    const ipc::HeaderSizes sizes{sizeof(kName) - 1, static_cast<std::uint32_t>(content_type.size)};
    type_header.append(reinterpret_cast<const char*>(&sizes), sizeof(sizes));
    type_header.append(kName).append(content_type.data, content_type.size);
    ++count;
  }
  const ipc::HeadRecord head{status, count};
  type_header.insert(0, reinterpret_cast<const char*>(&head), sizeof(head));
  channel_.Put(ipc::RecordKind::kHead, type_header.data(), type_header.size(), headers_.data(),
               headers_.size());
  return 0;
}

int Response::Reply(std::uint32_t status, mayfly_str content_type, const void* body, std::size_t size) {
  if (state_ != State::kOpen) return AlreadyAnswered();
  if (const int error = Head(status, content_type); error != 0) return error;
  state_ = State::kAnswered;
  channel_.PutData(body, size);
  // Shown with what Done() puts: most handlers return right after this.
  channel_.Put(ipc::RecordKind::kEnd, nullptr, 0);
  return 0;
}

int Response::AddHeader(mayfly_str name, mayfly_str value) {
  if (state_ != State::kOpen) return EALREADY;
  if (!ipc::IsToken(View(name)) || !ipc::IsHeaderValue(View(value))) return EINVAL;
  const std::size_t bytes = sizeof(ipc::HeaderSizes) + name.size + value.size;
  if (name.size > kMaxHeaderBytes || value.size > kMaxHeaderBytes ||
      headers_.size() + bytes > kMaxHeaderBytes) {
    return ENOSPC;
  }
  const ipc::HeaderSizes sizes{static_cast<std::uint32_t>(name.size), static_cast<std::uint32_t>(value.size)};
  headers_.append(reinterpret_cast<const char*>(&sizes), sizeof(sizes));
  headers_.append(name.data, name.size);
  if (value.size != 0) headers_.append(value.data, value.size);
  ++header_count_;
  return 0;
}

int Response::Begin(std::uint32_t status, mayfly_str content_type) {
  if (state_ != State::kOpen) return AlreadyAnswered();
  if (const int error = Head(status, content_type); error != 0) return error;
  state_ = State::kBegun;
  channel_.Flush();
  return 0;
}

int Response::Write(const void* data, std::size_t size) {
  if (state_ != State::kBegun) return EPROTO;
  channel_.PutData(data, size);
  channel_.Flush();
  return 0;
}

int Response::End() {
  if (state_ != State::kBegun) return EPROTO;
  state_ = State::kAnswered;
  channel_.Put(ipc::RecordKind::kEnd, nullptr, 0);
  return 0;
}

int Response::Fail(mayfly_str message) {
  if (state_ == State::kAnswered) return AlreadyAnswered();
  state_ = State::kAnswered;
  const std::string_view sentence = base::CutUtf8(View(message), kMaxFailText);
  channel_.Put(ipc::RecordKind::kFail, sentence.data(), sentence.size());
  return 0;
}

void Response::Done(int result, std::uint32_t strays, std::uint64_t began_ns, std::uint64_t ended_ns) {
  ipc::DoneRecord done{result, strays, began_ns, ended_ns};
  if (answered_twice_) done.flags |= ipc::kDoneAnsweredTwice;
  channel_.Put(ipc::RecordKind::kDone, &done, sizeof(done));
  channel_.Publish();
  if (strays != 0) {
    channel_.WakeRuntime();
    while (true) pause();
  }
  state_ = State::kOpen;
  answered_twice_ = false;
  header_count_ = 0;
  headers_.clear();
}

const mayfly_host& Host() { return host; }

void SetLogDescriptor(int log_fd) { log_descriptor.store(log_fd); }

void SetChannel(Channel* channel) { current_channel.store(channel); }

}  // namespace mayfly::worker
