#include "tests/integration/ledger.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <sstream>
#include <utility>

#include "base/thread.h"

namespace mayfly::testing {
namespace {

void Answer(const base::FileDescriptor& peer, const char* word) {
  // Whoever is dead does not hear it.
  (void)!::send(peer.get(), word, 4, MSG_NOSIGNAL);
}

}  // namespace

Ledger::Ledger() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const plain = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::bind(listener_.get(), plain, size), 0);
  EXPECT_EQ(::listen(listener_.get(), 512), 0);
  EXPECT_EQ(::getsockname(listener_.get(), plain, &size), 0);
  port_ = ntohs(address.sin_port);
  thread_ = base::StartThread("ledger", [this](const std::stop_token& stop) { Run(stop); });
}

Ledger::~Ledger() {
  thread_.request_stop();
  thread_.join();
}

void Ledger::Decide(std::function<Verdict(const Entry&)> decide) {
  const std::lock_guard lock(mutex_);
  decide_ = std::move(decide);
}

void Ledger::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    pollfd readable{listener_.get(), POLLIN, 0};
    if (::poll(&readable, 1, 20) > 0)
      Hear(base::FileDescriptor(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)));
  }
}

void Ledger::Hear(base::FileDescriptor peer) {
  const timeval patience{2, 0};
  ::setsockopt(peer.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  std::string line;
  char buffer[1024];
  while (line.find('\n') == std::string::npos) {
    const ssize_t size = ::recv(peer.get(), buffer, sizeof buffer, 0);
    if (size <= 0) return;
    line.append(buffer, static_cast<std::size_t>(size));
  }
  Entry entry;
  std::istringstream words(line);
  words >> entry.id >> entry.attempt >> entry.body;
  const std::lock_guard lock(mutex_);
  const Verdict verdict = decide_ ? decide_(entry) : Verdict::kDone;
  entry.done = verdict == Verdict::kDone;
  entries_.push_back(entry);
  if (verdict == Verdict::kHold) {
    held_.emplace_back(entries_.size() - 1, std::move(peer));
  } else {
    Answer(peer, entry.done ? "done" : "fail");
  }
}

void Ledger::Release() {
  const std::lock_guard lock(mutex_);
  for (const auto& [place, peer] : held_) {
    entries_[place].done = true;
    Answer(peer, "done");
  }
  held_.clear();
}

std::vector<Ledger::Entry> Ledger::entries() const {
  const std::lock_guard lock(mutex_);
  return entries_;
}

std::size_t Ledger::held() const {
  const std::lock_guard lock(mutex_);
  return held_.size();
}

std::map<std::string, int> Ledger::Done() const {
  std::map<std::string, int> done;
  for (const Entry& entry : entries()) done[entry.body] += entry.done ? 1 : 0;
  std::erase_if(done, [](const auto& each) { return each.second == 0; });
  return done;
}

}  // namespace mayfly::testing
