#include "gateway/delivery/dedup_window.h"

#include "absl/strings/str_cat.h"
#include "base/digest.h"

namespace mayfly::gateway {

std::string DedupWindow::Key(std::string_view source, std::string_view id) {
  const std::string text = absl::StrCat(source.size(), ":", std::string(source), std::string(id));
  return base::Sha256(text).substr(0, 16);
}

bool DedupWindow::Contains(const std::string& key, base::MonotonicTime now) {
  Forget(now);
  return keys_.contains(key);
}

void DedupWindow::Add(const std::string& key, base::MonotonicTime now) {
  Forget(now);
  if (!keys_.insert(key).second) return;
  order_.emplace_back(now, key);
}

void DedupWindow::Forget(base::MonotonicTime now) {
  while (!order_.empty() && (order_.front().first + window_ <= now || order_.size() > most_)) {
    keys_.erase(order_.front().second);
    order_.pop_front();
  }
}

}  // namespace mayfly::gateway
