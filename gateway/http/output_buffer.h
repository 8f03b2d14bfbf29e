// An OutputBuffer holds what a connection has to send, and sends as much as its socket takes.
//
// Small pieces are joined in one, large ones are kept as they come; all go out with one system call. Empty,
// it holds next to nothing. Belongs to one connection.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mayfly::gateway {

class OutputBuffer {
 public:
  enum class Written { kAll, kBlocked, kBroken };

  // Where small pieces are appended; valid until the next call.
  std::string& tail();
  // Appends `bytes`, without copying them if they are many.
  void Append(std::string&& bytes);

  // Bytes that are not sent yet.
  std::size_t size() const;
  bool empty() const { return size() == 0; }

  // Sends to the non-blocking socket `fd` until nothing is left or it takes no more.
  Written SendTo(int fd);
  // Bytes sent in all.
  std::size_t sent() const { return sent_; }

 private:
  void Drop(std::size_t bytes);

  std::vector<std::string> pieces_;
  // Of the first piece, sent already.
  std::size_t offset_ = 0;
  // Whether the last piece is a large one that nothing is appended to.
  bool sealed_ = false;
  std::size_t sent_ = 0;
};

}  // namespace mayfly::gateway
