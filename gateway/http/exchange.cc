#include "gateway/http/exchange.h"

namespace mayfly::gateway {

void Inbox::Open(std::function<void()> wake) {
  const std::lock_guard lock(mutex_);
  wake_ = std::move(wake);
}

void Inbox::Close() {
  // Exchanges are destroyed outside the lock: that may call the dispatcher, which may call back.
  std::vector<Item> dropped;
  const std::lock_guard lock(mutex_);
  wake_ = nullptr;
  dropped.swap(items_);
}

void Inbox::Put(Item item) {
  const std::lock_guard lock(mutex_);
  if (!wake_) return;
  items_.push_back(std::move(item));
  if (woken_ || std::this_thread::get_id() == owner_) return;
  woken_ = true;
  wake_();
}

void Inbox::TakeAll(std::vector<Item>* items) {
  items->clear();
  const std::lock_guard lock(mutex_);
  items->swap(items_);
  woken_ = false;
}

}  // namespace mayfly::gateway
