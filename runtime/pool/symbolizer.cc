#include "runtime/pool/symbolizer.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>

#include "base/thread.h"
#include "runtime/pool/symbolizer_process.h"

namespace mayfly::runtime {
namespace {

constexpr std::size_t kMaxWaiting = 16;
constexpr std::size_t kMaxKnown = 16;

}  // namespace

Symbolizer::Symbolizer(std::string program, std::string module_path)
    : program_(std::move(program)),
      module_path_(std::move(module_path)),
      stop_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Symbolizer::~Symbolizer() { Close(); }

std::optional<Symbolizer::Answers> Symbolizer::Known(
    const std::vector<symbolizer::FileOffset>& frames) const {
  const std::string question = symbolizer::WriteQuestion(frames);
  const std::lock_guard lock(mutex_);
  const auto found =
      std::find_if(known_.begin(), known_.end(), [&](const auto& known) { return known.first == question; });
  if (found == known_.end()) return std::nullopt;
  return found->second;
}

bool Symbolizer::Ask(const std::vector<symbolizer::FileOffset>& frames, Time deadline, Done done) {
  const bool any =
      std::any_of(frames.begin(), frames.end(), [](const auto& frame) { return !frame.path.empty(); });
  const std::lock_guard lock(mutex_);
  if (!any || closing_ || program_.empty() || !stop_ || waiting_.size() >= kMaxWaiting) return false;
  if (!thread_.joinable()) {
    try {
      thread_ = base::StartThread("symbolizer", [this](std::stop_token) { Run(); });
    } catch (const std::system_error&) {
      return false;  // the machine has no more threads: the next crash asks again
    }
  }
  waiting_.push_back({symbolizer::WriteQuestion(frames), frames.size(), deadline, std::move(done)});
  changed_.notify_all();
  return true;
}

void Symbolizer::Close() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(stop_.get(), &one, sizeof(one));
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Symbolizer::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return closing_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const Job job = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    job.done(Find(job));
    lock.lock();
  }
}

Symbolizer::Answers Symbolizer::Find(const Job& job) {
  const SymbolizerOutput output =
      RunSymbolizer(program_, module_path_, job.question, job.deadline, stop_.get());
  Answers answers = symbolizer::ParseAnswers(output.text, job.frames);
  if (output.complete) {
    const std::lock_guard lock(mutex_);
    if (known_.size() == kMaxKnown) known_.pop_front();
    known_.emplace_back(job.question, answers);
  }
  return answers;
}

}  // namespace mayfly::runtime
