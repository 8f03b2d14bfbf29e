// A keep-alive connection that hides nothing: it never sends a request twice, and never connects anew by itself.
//
// A client library mends a cut connection behind its caller's back; here a cut is what is looked for.
// One thread at a time; it blocks that thread, never past the deadline.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/file_descriptor.h"

namespace mayfly::chaos {

struct Answer {
  int status = 0;
  std::string body;
};

class HttpConnection {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit HttpConnection(int port) : port_(port) {}  // on 127.0.0.1

  // Connects if that is due: first, and after an answer that said "Connection: close" or an error.
  // DeadlineExceeded: no whole answer by `deadline`. Unavailable: refused, or cut before the answer was whole.
  // InvalidArgument: what came is no answer of HTTP/1.1 with a Content-Length.
  absl::StatusOr<Answer> Post(const std::string& target, const std::string& body, Time deadline);

 private:
  absl::Status Connect();
  absl::Status Send(std::string_view bytes, Time deadline);
  absl::StatusOr<Answer> Receive(Time deadline);
  // Reads more into input_.
  absl::Status Fill(Time deadline);
  absl::Status WaitFor(short events, Time deadline);

  const int port_;
  base::FileDescriptor socket_;
  std::string input_;
  bool keep_ = true;
};

}  // namespace mayfly::chaos
