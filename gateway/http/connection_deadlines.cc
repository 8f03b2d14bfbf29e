// What a Connection does when time is up.
#include <algorithm>

#include "gateway/http/connection.h"
#include "gateway/http/event_loop.h"

namespace mayfly::gateway {

void Connection::OnDeadline(std::int64_t now_ms) {
  const HttpOptions& options = loop_.options();
  if (answer_deadline_ms_ != 0 && now_ms >= answer_deadline_ms_) {
    answer_deadline_ms_ = 0;
    if (exchange_) {
      v1::Result result;
      result.set_outcome(v1::OUTCOME_TIMED_OUT);
      result.mutable_problem()->set_message("the function's answer did not come within its timeout");
      if (exchange_->answer_begun) {
        BreakAnswer("TimedOut");
      } else {
        CancelExchange();
        AnswerProblem(result);
      }
    }
  }
  if (probe_deadline_ms_ != 0 && now_ms >= probe_deadline_ms_) Probe(now_ms);
  if (write_deadline_ms_ != 0 && now_ms >= write_deadline_ms_) {
    const auto seconds = static_cast<std::uint64_t>(options.write_period.count()) / 1000;
    const std::uint64_t wanted = std::max<std::uint64_t>(1, options.min_answer_rate * seconds);
    if (output_.sent() - sent_before_ < wanted) {
      loop_.metrics().Refused("SlowReader");
      // Reset: what it has not read would be kept by the kernel for minutes.
      boost::system::error_code ignored;
      socket_.set_option(boost::asio::socket_base::linger(true, 0), ignored);
      Close();
      return;
    }
    sent_before_ = output_.sent();
    write_deadline_ms_ = now_ms + options.write_period.count();
  }
  if (read_deadline_ms_ != 0 && now_ms >= read_deadline_ms_) {
    read_deadline_ms_ = 0;
    const auto seconds = static_cast<std::uint64_t>(options.body_period.count()) / 1000;
    const std::uint64_t rate =
        state_ == State::kStreaming ? options.min_streaming_rate : options.min_body_rate;
    const std::uint64_t wanted = std::max<std::uint64_t>(1, rate * seconds);
    switch (state_) {
      case State::kHead:
        if (!head_begun_) {
          Close();
          return;
        }
        exchange_ = std::make_shared<Exchange>(loop_.inbox(), this);
        exchange_->request_id = loop_.ids().NextInvocationId(loop_.UnixMs());
        exchange_->began_us = loop_.NowUs();
        Refuse({408, "RequestTimeout", "the request's head did not come in time"}, false);
        break;
      case State::kBody:
      case State::kStreaming:
        if (body_bytes_ - body_bytes_before_ >= wanted) {
          StartBodyPeriod();
        } else {
          Refuse({408, "RequestTimeout", "the request's body came too slowly"}, false);
        }
        break;
      case State::kDiscard:
      case State::kLinger:
        Close();
        return;
      case State::kAnswer:
      case State::kClosed:
        break;
    }
  }
  UpdateDeadline();
}

void Connection::ExpectProbe() {
  if (probe_pause_ms_ != 0 || !exchange_ || exchange_->answer_begun || exchange_->http10) return;
  probe_pause_ms_ = loop_.options().half_close_probe.count();
  probe_deadline_ms_ = loop_.NowMs() + probe_pause_ms_;
  UpdateDeadline();
}

void Connection::Probe(std::int64_t now_ms) {
  probe_deadline_ms_ = 0;
  if (!exchange_ || exchange_->answer_begun || exchange_->http10) {
    probe_pause_ms_ = 0;
    return;
  }
  // What waits in the output does as well.
  if (output_.empty()) {
    output_.tail().append(kContinue);
    ScheduleFlush();
  }
  probe_pause_ms_ *= 2;
  probe_deadline_ms_ = now_ms + probe_pause_ms_;
}

void Connection::StartBodyPeriod() {
  body_bytes_before_ = body_bytes_;
  SetReadDeadline(loop_.NowMs() + loop_.options().body_period.count());
}

void Connection::SetReadDeadline(std::int64_t deadline_ms) {
  read_deadline_ms_ = deadline_ms;
  UpdateDeadline();
}

void Connection::UpdateDeadline() {
  if (state_ == State::kClosed) return;
  std::int64_t next = 0;
  for (const std::int64_t deadline :
       {read_deadline_ms_, write_deadline_ms_, answer_deadline_ms_, probe_deadline_ms_}) {
    if (deadline != 0 && (next == 0 || deadline < next)) next = deadline;
  }
  loop_.deadlines().Set(*this, next);
}

}  // namespace mayfly::gateway
