#include "base/thread.h"

#include <pthread.h>

#include <csignal>

namespace mayfly::base {

void SetThreadName(const std::string& name) {
  constexpr std::size_t kLongest = 15;
  pthread_setname_np(pthread_self(), name.substr(0, kLongest).c_str());
}

std::jthread StartThread(std::string name, std::function<void(std::stop_token)> body) {
  // The mask is inherited, so that no signal can arrive between the thread's birth and its first line.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::jthread thread([name = std::move(name), body = std::move(body)](std::stop_token stop) {
    SetThreadName(name);
    body(std::move(stop));
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace mayfly::base
