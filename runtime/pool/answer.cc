#include "runtime/pool/answer.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/utf8.h"
#include "proto/problem.h"
#include "runtime/ipc/header_text.h"

namespace mayfly::runtime {

Answer::Step Answer::Take(ipc::RecordKind kind, std::string&& payload) {
  switch (kind) {
    case ipc::RecordKind::kHead:
      if (state_ != State::kOpen || !TakeHead(payload)) return Break("a malformed response head");
      state_ = State::kBegun;
      return Step::kMore;
    case ipc::RecordKind::kData:
      if (state_ != State::kBegun) return Break("body bytes outside of an answer");
      bytes_ += payload.size();
      if (max_bytes_ != 0 && bytes_ > max_bytes_) {
        Conclude(v1::OUTCOME_BAD_ANSWER, "function", "ResponseTooLarge",
                 "the response body is larger than the limit of " + std::to_string(max_bytes_) + " bytes");
        return Step::kBroken;
      }
      if (part_.data().empty()) {
        part_.set_data(std::move(payload));
      } else {
        part_.mutable_data()->append(payload);
      }
      has_part_ = true;
      return Step::kMore;
    case ipc::RecordKind::kEnd:
      if (state_ != State::kBegun) return Break("an end without a beginning");
      state_ = State::kEnded;
      return Step::kMore;
    case ipc::RecordKind::kFail:
      if (state_ != State::kOpen && state_ != State::kBegun) return Break("a failure after an answer");
      state_ = State::kFailed;
      failure_ = base::CleanUtf8(payload);
      return Step::kMore;
    case ipc::RecordKind::kDone: {
      ipc::DoneRecord done;
      if (payload.size() != sizeof(done)) return Break("a malformed end of the invocation");
      std::memcpy(&done, payload.data(), sizeof(done));
      return Finish(done);
    }
  }
  return Break("an unknown record");
}

bool Answer::TakeHead(const std::string& payload) {
  ipc::HeadRecord head;
  if (payload.size() < sizeof(head)) return false;
  std::memcpy(&head, payload.data(), sizeof(head));
  if (head.status < 100 || head.status > 599) return false;
  std::string_view rest = std::string_view(payload).substr(sizeof(head));
  v1::ResponseHead& out = *part_.mutable_head();
  out.set_status(head.status);
  for (std::uint32_t i = 0; i < head.header_count; ++i) {
    ipc::HeaderSizes sizes;
    if (rest.size() < sizeof(sizes)) return false;
    std::memcpy(&sizes, rest.data(), sizeof(sizes));
    rest.remove_prefix(sizeof(sizes));
    if (sizes.name > rest.size() || sizes.value > rest.size() - sizes.name) return false;
    const std::string_view name = rest.substr(0, sizes.name);
    const std::string_view value = rest.substr(sizes.name, sizes.value);
    rest.remove_prefix(std::size_t{sizes.name} + sizes.value);
    if (!ipc::IsToken(name) || !ipc::IsHeaderValue(value)) return false;
    v1::Pair& header = *out.add_headers();
    header.set_name(name.data(), name.size());
    header.set_value(value.data(), value.size());
  }
  has_part_ = true;
  return rest.empty();
}

Answer::Step Answer::Finish(const ipc::DoneRecord& done) {
  stray_children_ = (done.flags & ipc::kDoneStrayChildren) != 0;
  stray_threads_ = (done.flags & ipc::kDoneStrayThreads) != 0;
  if (done.ended_ns > done.began_ns) {
    // A worker can say what it likes; no invocation runs for a day.
    constexpr std::uint64_t kDay = 86'400'000'000'000;
    ran_ = std::chrono::nanoseconds(std::min(done.ended_ns - done.began_ns, kDay));
  }
  if ((done.flags & ipc::kDoneAnsweredTwice) != 0) {
    Conclude(v1::OUTCOME_BAD_ANSWER, "function", "AnsweredTwice",
             "the handler answered a second time; one invocation takes exactly one answer");
  } else if (state_ == State::kFailed) {
    Conclude(v1::OUTCOME_FAILED, "function", "HandlerFailed", std::move(failure_));
  } else if (done.result != 0) {
    Conclude(v1::OUTCOME_FAILED, "function", "HandlerFailed",
             "handle() returned " + std::to_string(done.result) +
                 (done.result > 0 ? std::string(" (") + strerror(done.result) + ")" : std::string()));
  } else if (state_ == State::kOpen) {
    Conclude(v1::OUTCOME_BAD_ANSWER, "function", "NoAnswer", "the handler returned without an answer");
  } else if (state_ == State::kBegun) {
    Conclude(v1::OUTCOME_BAD_ANSWER, "function", "IncompleteAnswer",
             "the handler began an answer and returned without ending it");
  } else {
    result_.set_outcome(v1::OUTCOME_OK);
  }
  return Step::kDone;
}

Answer::Step Answer::Break(const std::string& what) {
  Conclude(v1::OUTCOME_BAD_ANSWER, "worker", "BadAnswer",
           "the worker wrote " + what + " into its channel: the module corrupts memory, or means harm");
  return Step::kBroken;
}

void Answer::Spoil() {
  Conclude(v1::OUTCOME_BAD_ANSWER, "worker", "BadAnswer",
           "the handler wrote over the memory that its worker shares with the runtime: the module corrupts "
           "memory, "
           "or means harm");
}

void Answer::Conclude(v1::Outcome outcome, const char* component, const char* reason, std::string message) {
  result_.set_outcome(outcome);
  *result_.mutable_problem() = v1::MakeProblem(component, reason, std::move(message));
  // A caller that has seen nothing yet gets a clean failure.
  if (!head_delivered_) {
    part_.Clear();
    has_part_ = false;
  }
}

v1::ResponsePart Answer::TakePart() {
  if (part_.has_head()) head_delivered_ = true;
  has_part_ = false;
  v1::ResponsePart part = std::move(part_);
  part_.Clear();
  return part;
}

}  // namespace mayfly::runtime
