// The writing half of a Connection; connection.cc is the reading half.
#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/log.h"
#include "gateway/http/answer_head.h"
#include "gateway/http/connection.h"
#include "gateway/http/error_answer.h"
#include "gateway/http/event_loop.h"
#include "proto/problem.h"

namespace mayfly::gateway {
namespace {

namespace asio = boost::asio;
namespace log = base::log;

// The client's window is moved on in steps of this size.
constexpr std::uint64_t kGrantStep = 64 * 1024;
constexpr std::int64_t kDrainingLingerMs = 200;

}  // namespace

void Connection::Refuse(const Refusal& refusal, bool can_continue, std::string_view more_headers) {
  loop_.metrics().Refused(refusal.reason);
  CancelExchange();
  if (exchange_->answer_begun) {
    BreakAnswer(refusal.reason);
    return;
  }
  if (!can_continue) exchange_->keep_alive = false;
  AnswerError(refusal.status, "gateway", refusal.reason, refusal.message, more_headers);
}

void Connection::AnswerProblem(const v1::Result& result) {
  const v1::Problem& problem = result.problem();
  const bool ok = result.outcome() == v1::OUTCOME_OK;
  const std::string_view reason =
      problem.reason().empty() ? ReasonOf(result.outcome()) : std::string_view(problem.reason());
  const std::string_view message = !problem.message().empty() ? std::string_view(problem.message())
                                   : ok                       ? "the function ended without an answer"
                                        : "the invocation failed, and no reason was given";
  std::string metering;
  if (exchange_->wants_metering && result.has_metering()) AppendMetering(result.metering(), &metering);
  if (log::Enabled(log::Level::kInfo)) {
    log::Info("invocation failed",
              {{"request_id", exchange_->request_id}, {"reason", reason}, {"message", message}});
  }
  AnswerError(StatusOf(result),
              problem.component().empty() ? "gateway" : std::string_view(problem.component()), reason,
              message, metering);
}

void Connection::AnswerError(int status, std::string_view component, std::string_view reason,
                             std::string_view message, std::string_view more_headers) {
  Exchange& exchange = *exchange_;
  if (state_ == State::kBody && decoder_.done()) state_ = State::kAnswer;
  const bool body_left = !decoder_.done() && state_ != State::kHead;
  // A body that is not read to its end stands between this request and the next.
  if (body_left || loop_.draining()) exchange.keep_alive = false;
  exchange.status = status;
  exchange.answer_begun = true;
  std::string& out = output_.tail();
  AppendStatusLine(status, &out);
  AppendHeader("Date", loop_.Date(), &out);
  AppendCommonHeaders(&out);
  if (HasRetryAfter(status)) AppendHeader("Retry-After", "1", &out);
  out.append(more_headers);
  if (HasNoBody(status)) {
    out.append("\r\n");
  } else {
    const std::string body = ErrorBody(exchange.request_id, component, reason, message);
    AppendHeader("Content-Type", "application/json", &out);
    AppendNumberHeader("Content-Length", body.size(), &out);
    out.append("\r\n");
    if (exchange.method != "HEAD") out.append(body);
  }
  const bool discard = state_ == State::kHead && !decoder_.done() && exchange.keep_alive;
  if (state_ == State::kHead) state_ = State::kAnswer;
  FinishExchange();
  if (!discard || state_ != State::kHead) return;
  state_ = State::kDiscard;
  SetReadDeadline(loop_.NowMs() + loop_.options().body_period.count());
}

void Connection::AppendCommonHeaders(std::string* out) {
  const Exchange& exchange = *exchange_;
  AppendHeader("X-Request-Id", exchange.request_id, out);
  if (!exchange.keep_alive) {
    out->append("Connection: close\r\n");
  } else if (exchange.http10) {
    out->append("Connection: keep-alive\r\n");
  }
}

void Connection::OnPart(v1::ResponsePart&& part) {
  Exchange& exchange = *exchange_;
  if (!exchange.answer_begun) {
    std::string wrong;
    if (part.has_result() && part.result().outcome() != v1::OUTCOME_OK) {
      AnswerProblem(part.result());
    } else if (!part.has_head()) {
      wrong =
          part.has_result() ? "the function ended without an answer" : "the answer has data before its head";
    } else {
      wrong = CheckAnswerHead(part.head());
    }
    if (!exchange_) {
      // Answered with the problem.
    } else if (wrong.empty()) {
      BeginAnswer(part);
    } else {
      CancelExchange();
      v1::Result result = v1::MakeResult(v1::OUTCOME_BAD_ANSWER, "function", "BadAnswer", std::move(wrong));
      AnswerProblem(result);
    }
  } else {
    if (!part.data().empty()) AppendData(std::move(*part.mutable_data()));
    if (part.has_result() && exchange_) EndAnswer(part.result());
  }
  if (state_ == State::kHead || state_ == State::kDiscard) ProcessPending();
  if (end_of_input_) OnEndOfInput();
  ArmRead();
}

void Connection::BeginAnswer(v1::ResponsePart& part) {
  Exchange& exchange = *exchange_;
  const bool complete = part.has_result();
  const bool head_only = exchange.method == "HEAD";
  exchange.status = static_cast<int>(part.head().status());
  exchange.answer_begun = true;
  exchange.answer_has_body = !head_only && !HasNoBody(exchange.status);
  // A body that is not read to its end stands between this request and the next.
  if (state_ != State::kAnswer || loop_.draining()) exchange.keep_alive = false;
  std::string& out = output_.tail();
  AppendStatusLine(exchange.status, &out);
  AppendHeader("Date", loop_.Date(), &out);
  const std::optional<std::uint64_t> declared = AppendFunctionHeaders(part.head(), &out);
  if (exchange.status == 204) {
    // Has no length either.
  } else if (complete && exchange.answer_has_body) {
    AppendNumberHeader("Content-Length", part.data().size(), &out);
  } else if (declared) {
    AppendNumberHeader("Content-Length", *declared, &out);
    exchange.length_left = declared;
  } else if (complete && head_only) {
    AppendNumberHeader("Content-Length", part.data().size(), &out);
  } else if (exchange.answer_has_body && exchange.http10) {
    exchange.keep_alive = false;
  } else if (exchange.answer_has_body) {
    exchange.answer_chunked = true;
    out.append("Transfer-Encoding: chunked\r\n");
    if (exchange.wants_metering) AppendHeader("Trailer", kMeteringNames, &out);
  }
  AppendCommonHeaders(&out);
  if (complete && exchange.wants_metering) AppendMetering(part.result().metering(), &out);
  if (exchange.wants_metering) AppendHeader("Mayfly-Invocation-Id", exchange.invocation_id, &out);
  out.append("\r\n");
  if (!part.data().empty()) AppendData(std::move(*part.mutable_data()));
  if (complete && exchange_) EndAnswer(part.result());
  ScheduleFlush();
}

void Connection::AppendData(std::string&& data) {
  Exchange& exchange = *exchange_;
  exchange.ungranted += data.size();
  ScheduleFlush();
  if (!exchange.answer_has_body) return;
  if (exchange.length_left) {
    if (data.size() > *exchange.length_left) {
      data.resize(static_cast<std::size_t>(*exchange.length_left));
      output_.Append(std::move(data));
      BreakAnswer("AnswerTooLong");
      return;
    }
    *exchange.length_left -= data.size();
  }
  if (!exchange.answer_chunked) {
    output_.Append(std::move(data));
    return;
  }
  fmt::format_to(std::back_inserter(output_.tail()), "{:x}\r\n", data.size());
  output_.Append(std::move(data));
  output_.tail().append("\r\n");
}

void Connection::EndAnswer(const v1::Result& result) {
  Exchange& exchange = *exchange_;
  if (result.outcome() != v1::OUTCOME_OK) {
    const std::string_view reason = result.problem().reason().empty()
                                        ? ReasonOf(result.outcome())
                                        : std::string_view(result.problem().reason());
    log::Info(
        "answer broken off",
        {{"request_id", exchange.request_id}, {"reason", reason}, {"message", result.problem().message()}});
    BreakAnswer(reason);
    return;
  }
  if (exchange.answer_has_body && exchange.length_left.value_or(0) > 0) {
    BreakAnswer("AnswerTooShort");
    return;
  }
  if (exchange.answer_chunked) {
    std::string& out = output_.tail();
    out.append("0\r\n");
    if (exchange.wants_metering) AppendMetering(result.metering(), &out);
    out.append("\r\n");
  }
  FinishExchange();
}

void Connection::BreakAnswer(std::string_view why) {
  loop_.metrics().Refused("AnswerBrokenOff");
  log::Debug("answer broken off", {{"request_id", exchange_->request_id}, {"reason", why}});
  CancelExchange();
  exchange_->keep_alive = false;
  FinishExchange();
}

void Connection::FinishExchange() {
  const std::shared_ptr<Exchange> exchange = std::exchange(exchange_, nullptr);
  exchange->connection = nullptr;
  exchange->dispatched.reset();
  SetBuffered(0);
  answer_deadline_ms_ = probe_deadline_ms_ = probe_pause_ms_ = 0;
  const std::int64_t now_us = loop_.NowUs();
  FunctionMetrics& metrics = exchange->metrics ? *exchange->metrics : loop_.function_metrics().Of({});
  metrics.Answered(exchange->status, static_cast<double>(now_us - exchange->began_us) * 1e-6);
  if (log::Enabled(log::Level::kDebug)) {
    log::Debug("request", {{"request_id", exchange->request_id},
                           {"method", exchange->method},
                           {"status", exchange->status},
                           {"duration_us", now_us - exchange->began_us},
                           {"peer", peer_}});
  }
  ScheduleFlush();
  if (!exchange->keep_alive || loop_.draining() || state_ != State::kAnswer) {
    BeginClose();
    return;
  }
  state_ = State::kHead;
  head_begun_ = false;
  SetReadDeadline(now_us / 1000 + loop_.options().idle_timeout.count());
}

void Connection::CancelExchange() {
  if (!exchange_ || !exchange_->dispatched) return;
  const std::unique_ptr<Dispatched> dispatched = std::move(exchange_->dispatched);
  dispatched->Cancel();
}

void Connection::BeginClose() {
  if (state_ == State::kClosed) return;
  state_ = State::kLinger;
  closing_ = true;
  body_bytes_before_ = body_bytes_;
  answer_deadline_ms_ = 0;
  SetReadDeadline(0);
  ScheduleFlush();
}

void Connection::ScheduleFlush() {
  if (dirty_ || state_ == State::kClosed) return;
  dirty_ = true;
  loop_.MarkDirty(shared_from_this());
}

void Connection::Flush() {
  dirty_ = false;
  if (state_ == State::kClosed || write_armed_) return;
  switch (output_.SendTo(socket_.native_handle())) {
    case OutputBuffer::Written::kBroken:
      Close();
      return;
    case OutputBuffer::Written::kBlocked:
      if (write_deadline_ms_ == 0) {
        sent_before_ = output_.sent();
        write_deadline_ms_ = loop_.NowMs() + loop_.options().write_period.count();
        UpdateDeadline();
      }
      write_armed_ = true;
      socket_.async_wait(asio::socket_base::wait_write,
                         [self = shared_from_this()](const boost::system::error_code& error) {
                           self->write_armed_ = false;
                           if (error || self->state_ == State::kClosed) return;
                           EventLoop& loop = self->loop_;
                           self->Flush();
                           loop.Settle();
                         });
      break;
    case OutputBuffer::Written::kAll:
      if (write_deadline_ms_ != 0) {
        write_deadline_ms_ = 0;
        UpdateDeadline();
      }
      break;
  }
  GrantSent();
  AfterSending();
}

void Connection::GrantSent() {
  if (!exchange_ || !exchange_->dispatched) return;
  const std::uint64_t waiting = std::min<std::uint64_t>(exchange_->ungranted, output_.size());
  const std::uint64_t taken = exchange_->ungranted - waiting;
  if (taken < kGrantStep) return;
  exchange_->ungranted = waiting;
  exchange_->dispatched->Grant(taken);
}

void Connection::AfterSending() {
  if (closing_) {
    if (!output_.empty()) return;
    if (end_of_input_) {
      Close();
    } else if (!shut_down_) {
      shut_down_ = true;
      ::shutdown(socket_.native_handle(), SHUT_WR);
      // A stop does not wait for clients that keep their side open.
      const std::int64_t linger = loop_.options().linger.count();
      SetReadDeadline(loop_.NowMs() + (loop_.draining() ? std::min(linger, kDrainingLingerMs) : linger));
      pending_ = std::string();
      ArmRead();
    }
    return;
  }
  // Pipelined requests may have waited for room in the output.
  if (state_ != State::kHead || write_armed_) return;
  ProcessPending();
  if (end_of_input_) OnEndOfInput();
  ArmRead();
}

}  // namespace mayfly::gateway
