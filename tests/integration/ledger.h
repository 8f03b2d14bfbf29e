// A Ledger hears of every event that a function gets, from the module tests/modules/reports.c, and decides what becomes
// of it: the oracle of tests that kill things.
//
// Thread-safe. One thread.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/file_descriptor.h"

namespace mayfly::testing {

class Ledger {
 public:
  struct Entry {
    std::string id;
    int attempt = 0;
    std::string body;
    bool done = false;  // and answered so
  };
  enum class Verdict { kDone, kFail, kHold };

  Ledger();
  ~Ledger();

  int port() const { return port_; }
  // What is answered from now on; kDone for all if nobody says otherwise.
  void Decide(std::function<Verdict(const Entry&)> decide);
  // Answers those that are held.
  void Release();

  std::vector<Entry> entries() const;
  std::size_t held() const;
  // How often each body was done.
  std::map<std::string, int> Done() const;

 private:
  void Run(const std::stop_token& stop);
  void Hear(base::FileDescriptor peer);

  int port_ = 0;
  base::FileDescriptor listener_;
  mutable std::mutex mutex_;
  std::function<Verdict(const Entry&)> decide_;                     // guarded by mutex_
  std::vector<Entry> entries_;                                      // guarded by mutex_
  std::vector<std::pair<std::size_t, base::FileDescriptor>> held_;  // guarded by mutex_; by place in entries_
  std::jthread thread_;
};

}  // namespace mayfly::testing
