#include "runtime/server/task_threads.h"

#include <utility>

#include "base/thread.h"

namespace mayfly::runtime {

TaskThreads::~TaskThreads() {
  std::list<Task> last;
  {
    const std::lock_guard lock(mutex_);
    last.splice(last.end(), tasks_);
  }
  // Moved nodes keep their addresses: tasks that end now still find theirs. The threads are joined here,
  // unlocked.
  for (Task& task : last) task.thread.join();
}

bool TaskThreads::Run(std::string name, std::function<void()> task) {
  std::list<Task> ended;  // joined when the lock is released
  const std::lock_guard lock(mutex_);
  for (auto it = tasks_.begin(); it != tasks_.end();) {
    const auto next = std::next(it);
    if (it->done) ended.splice(ended.end(), tasks_, it);
    it = next;
  }
  if (tasks_.size() >= most_) return false;
  Task& added = tasks_.emplace_back();
  added.thread = base::StartThread(std::move(name), [this, &added, task = std::move(task)](std::stop_token) {
    task();
    const std::lock_guard done_lock(mutex_);
    added.done = true;
  });
  return true;
}

}  // namespace mayfly::runtime
