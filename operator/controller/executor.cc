#include "operator/controller/executor.h"

#include <utility>

#include "base/thread.h"

namespace mayfly::op {

Executor::Executor(std::string name, std::size_t max_threads, std::size_t max_waiting)
    : name_(std::move(name)), max_threads_(max_threads), max_waiting_(max_waiting) {}

Executor::~Executor() { Stop(); }

bool Executor::Run(std::function<void()> call) {
  std::lock_guard lock(mutex_);
  if (stopped_ || waiting_.size() >= max_waiting_) return false;
  waiting_.push_back(std::move(call));
  if (running_ + waiting_.size() > threads_.size() && threads_.size() < max_threads_) {
    threads_.push_back(base::StartThread(name_ + "-" + std::to_string(threads_.size()),
                                         [this](std::stop_token stop) { Loop(std::move(stop)); }));
  }
  changed_.notify_all();
  return true;
}

void Executor::Stop() {
  std::vector<std::jthread> threads;
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    waiting_.clear();
    threads.swap(threads_);
  }
  for (std::jthread& thread : threads) thread.request_stop();
}

bool Executor::WaitIdle(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, timeout, [&] { return waiting_.empty() && running_ == 0; });
}

void Executor::Loop(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [&] { return !waiting_.empty(); })) {
    std::function<void()> call = std::move(waiting_.front());
    waiting_.pop_front();
    ++running_;
    lock.unlock();
    call();
    call = nullptr;
    lock.lock();
    --running_;
    if (waiting_.empty() && running_ == 0) changed_.notify_all();
    if (stop.stop_requested()) return;
  }
}

}  // namespace mayfly::op
