// The reading half of a Connection; connection_answer.cc is the writing half.
#include "gateway/http/connection.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <utility>

#include "base/log.h"
#include "gateway/delivery/invocations_path.h"
#include "gateway/http/event_loop.h"
#include "gateway/http/request_event.h"
#include "gateway/http/request_ids.h"

namespace mayfly::gateway {
namespace {

namespace asio = boost::asio;

// What is read ahead of what can be taken.
constexpr std::size_t kReadAhead = 64 * 1024;
// A piece of a body. However little memory there is, this much is there when an invocation is dispatched.
constexpr std::size_t kInlineBody = 64 * 1024;
// A JSON event is taken apart before it is dispatched, so it must fit in memory.
constexpr std::size_t kStructuredBody = 1024 * 1024;
// Answers to pipelined requests wait here at most; then no further request is taken.
constexpr std::size_t kMostOutput = 256 * 1024;
// What an answered connection throws away, read but unwanted, before it is cut.
constexpr std::uint64_t kMostLingering = 4 * 1024 * 1024;
// What a trigger may name; no others reach a function.
constexpr std::array<std::string_view, 7> kMethods = {"GET",   "POST",   "HEAD",   "PUT",
                                                      "PATCH", "DELETE", "OPTIONS"};
// How much of the answer the function may send ahead of what the client took.
constexpr std::uint64_t kAnswerWindow = 256 * 1024;

Refusal TooLarge(std::uint64_t max_bytes) {
  return {413, "RequestTooLarge",
          fmt::format("the request's body is larger than the {} bytes that the function takes "
                      "(spec.limits.maxRequestBytes)",
                      max_bytes)};
}

Refusal TooManyBodies() {
  return {
      503, "TooManyBodies",
      "the bodies of requests that wait take all the memory that they may in this gateway: send the request "
      "again in a moment"};
}

}  // namespace

Connection::Connection(EventLoop& loop, asio::ip::tcp::socket socket, std::string peer, base::Gate::Pass pass)
    : loop_(loop), pass_(std::move(pass)), socket_(std::move(socket)), peer_(std::move(peer)) {}

Connection::~Connection() = default;

void Connection::Start() {
  boost::system::error_code ignored;
  socket_.non_blocking(true, ignored);
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  // Finds clients that are gone without a word, and those that have closed rather than shut down one side.
  socket_.set_option(asio::socket_base::keep_alive(true), ignored);
  const auto set = [&](int option, int value) {
    ::setsockopt(socket_.native_handle(), IPPROTO_TCP, option, &value, sizeof(value));
  };
  set(TCP_KEEPIDLE, 20);
  set(TCP_KEEPINTVL, 10);
  set(TCP_KEEPCNT, 3);
  SetReadDeadline(loop_.NowMs() + loop_.options().header_timeout.count());
  if (loop_.draining()) {
    Close();
    return;
  }
  ArmRead();
}

void Connection::ArmRead() {
  if (state_ == State::kClosed) return;
  // With its input at an end or its read-ahead full, the socket is watched for its breaking only.
  if (end_of_input_ || pending_.size() >= kReadAhead) {
    if (error_armed_) return;
    error_armed_ = true;
    socket_.async_wait(asio::socket_base::wait_error,
                       [self = shared_from_this()](const boost::system::error_code& error) {
                         self->error_armed_ = false;
                         if (error || self->state_ == State::kClosed) return;
                         EventLoop& loop = self->loop_;
                         self->Close();
                         loop.Settle();
                       });
    return;
  }
  if (read_armed_) return;
  read_armed_ = true;
  socket_.async_wait(asio::socket_base::wait_read,
                     [self = shared_from_this()](const boost::system::error_code& error) {
                       self->read_armed_ = false;
                       if (error || self->state_ == State::kClosed) return;
                       EventLoop& loop = self->loop_;
                       self->OnReadable();
                       loop.Settle();
                     });
}

void Connection::OnReadable() {
  while (state_ != State::kClosed && !end_of_input_ && pending_.size() < kReadAhead) {
    const std::size_t wanted = std::min(EventLoop::kScratchSize, kReadAhead - pending_.size());
    const ssize_t got = ::recv(socket_.native_handle(), loop_.scratch(), wanted, 0);
    if (got > 0) {
      Feed(loop_.scratch(), static_cast<std::size_t>(got));
      if (static_cast<std::size_t>(got) < wanted) break;
    } else if (got == 0) {
      end_of_input_ = true;
      OnEndOfInput();
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      break;
    } else if (errno != EINTR) {
      Close();
    }
  }
  ArmRead();
}

void Connection::OnEndOfInput() {
  switch (state_) {
    case State::kHead:
      // A request that still waits for its turn is answered; half a request is not.
      if (output_.empty()) {
        Close();
      } else if (pending_.empty() || head_begun_) {
        BeginClose();
      }
      return;
    case State::kStreaming:
      // The rest may be here, and wait to be taken.
      if (!pending_.empty()) return ExpectProbe();
      [[fallthrough]];
    case State::kBody:
      Refuse({400, "BodyCutShort", "the connection's sending side was closed within the request's body"},
             false);
      return;
    case State::kAnswer:
      return ExpectProbe();
    case State::kDiscard:
      BeginClose();
      return;
    case State::kLinger:
      if (output_.empty()) Close();
      return;
    case State::kClosed:
      return;
  }
}

void Connection::Feed(char* bytes, std::size_t size) {
  body_bytes_ += size;
  if (!pending_.empty()) {
    pending_.append(bytes, size);
    ProcessPending();
    return;
  }
  const std::size_t taken = Process(bytes, size);
  if (taken < size && state_ != State::kClosed) pending_.assign(bytes + taken, size - taken);
}

void Connection::ProcessPending() {
  if (pending_.empty() || state_ == State::kClosed) return;
  const std::size_t taken = Process(pending_.data(), pending_.size());
  if (taken == pending_.size()) {
    pending_ = std::string();
  } else {
    pending_.erase(0, taken);
  }
}

std::size_t Connection::Process(char* bytes, std::size_t size) {
  std::size_t at = 0;
  while (at < size) {
    std::string_view input(bytes + at, size - at);
    bool more = false;
    switch (state_) {
      case State::kHead:
        more = ProcessHead(bytes, size, &at);
        break;
      case State::kBody:
        more = ProcessBody(&input);
        at = size - input.size();
        break;
      case State::kStreaming:
        more = ProcessStreaming(&input);
        at = size - input.size();
        break;
      case State::kDiscard: {
        std::string thrown_away;
        const BodyDecoder::Progress progress =
            decoder_.Decode(&input, loop_.options().limits, kInlineBody, &thrown_away);
        at = size - input.size();
        more = true;
        if (progress == BodyDecoder::Progress::kDone) {
          state_ = State::kHead;
          SetReadDeadline(loop_.NowMs() + loop_.options().idle_timeout.count());
        } else if (progress != BodyDecoder::Progress::kMore) {
          BeginClose();
        }
        break;
      }
      case State::kLinger:
        if (body_bytes_ - body_bytes_before_ > kMostLingering) Close();
        return size;
      case State::kAnswer:
        break;
      case State::kClosed:
        return size;
    }
    if (!more) break;
  }
  return at;
}

bool Connection::ProcessHead(char* bytes, std::size_t size, std::size_t* at) {
  if (output_.size() > kMostOutput) return false;
  const HttpLimits& limits = loop_.options().limits;
  Refusal refusal;
  const std::size_t length = scanner_.Scan({bytes + *at, size - *at}, limits, &refusal);
  if (length == 0 && !refusal) {
    if (!head_begun_) {
      head_begun_ = true;
      SetReadDeadline(loop_.NowMs() + loop_.options().header_timeout.count());
    }
    return false;
  }
  head_begun_ = false;
  scanner_.Reset();
  RequestHead& head = loop_.head();
  head.Clear();
  if (!refusal) refusal = ParseHead(bytes + *at, length, limits, &head);
  *at += length;
  if (refusal) {
    // The request's end is unknown: whatever follows cannot be told from it.
    exchange_ = std::make_shared<Exchange>(loop_.inbox(), this);
    exchange_->request_id = loop_.ids().NextInvocationId(loop_.UnixMs());
    exchange_->method = head.method;
    exchange_->began_us = loop_.NowUs();
    Refuse(refusal, false);
    return true;
  }
  BeginRequest(head);
  return true;
}

void Connection::BeginRequest(const RequestHead& head) {
  exchange_ = std::make_shared<Exchange>(loop_.inbox(), this);
  Exchange& exchange = *exchange_;
  exchange.began_us = loop_.NowUs();
  v1::Start& start = exchange.request.start;
  *start.mutable_invocation_id() = loop_.ids().NextInvocationId(loop_.UnixMs());
  const std::string_view wanted_id = head.Header("x-request-id");
  exchange.request_id = IsSafeRequestId(wanted_id) ? std::string(wanted_id) : start.invocation_id();
  exchange.method = head.method;
  exchange.http10 = head.minor_version == 0;
  exchange.keep_alive = head.keep_alive;
  exchange.wants_metering = head.Header("mayfly-metering") == "true";
  if (exchange.wants_metering) exchange.invocation_id = start.invocation_id();
  decoder_.Start(head, ~std::uint64_t{0});
  if (head.path == "*") {
    AnswerError(204, {}, {}, {}, "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n");
    return;
  }
  const Refusal refusal = Admit(head);
  if (exchange_ == nullptr) return;
  const bool small = head.body == RequestHead::Body::kLength && head.content_length <= kInlineBody;
  const bool can_continue = head.body == RequestHead::Body::kNone || (small && !head.expect_continue);
  if (refusal) {
    Refuse(refusal, can_continue);
    return;
  }
  read_deadline_ms_ = 0;
  if (head.body == RequestHead::Body::kNone) {
    Dispatch(true);
    return;
  }
  if (loop_.buffered() >= loop_.options().buffered_bytes) {
    Refuse(TooManyBodies(), can_continue);
    return;
  }
  state_ = State::kBody;
  if (head.body == RequestHead::Body::kLength) {
    start.set_body_size(head.content_length);
    exchange.request.body.reserve(
        static_cast<std::size_t>(std::min<std::uint64_t>(head.content_length, kInlineBody)));
  }
  if (head.expect_continue) {
    output_.tail().append(kContinue);
    ScheduleFlush();
  }
  StartBodyPeriod();
}

Refusal Connection::Admit(const RequestHead& head) {
  Exchange& exchange = *exchange_;
  if (std::find(kMethods.begin(), kMethods.end(), head.method) == kMethods.end()) {
    return {501, "MethodNotImplemented",
            "functions are reached by GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS"};
  }
  RequestPath& path = loop_.path();
  if (const absl::Status status = path.Parse(head.path); !status.ok()) {
    return {400, "BadPath", std::string(status.message())};
  }
  if (head.path.starts_with(kInvocationsPath) && loop_.options().invocations) {
    if (head.method != "GET" && head.method != "DELETE")
      return {405, "MethodNotAllowed", "invocations are asked for by GET, and taken back by DELETE"};
    if (head.body != RequestHead::Body::kNone) return {400, "BodyNotWanted", "this request takes no body"};
    v1::Start& start = exchange.request.start;
    start.mutable_event()->mutable_http()->mutable_method()->assign(head.method);
    start.mutable_event()->mutable_http()->mutable_path()->assign(head.path);
    start.set_timeout_ms(static_cast<std::uint32_t>(loop_.options().default_timeout.count()));
    return {};
  }
  const bool complete = loop_.router().complete();
  const std::shared_ptr<const RouteTable>& table = loop_.routes().table();
  const RouteMatch match = loop_.router().Match(*table, head.host, path, head.method, peer_);
  if (match.kind == RouteMatch::Kind::kNotFound && !complete)
    return {503, "Starting", "this gateway does not have all routes yet: send the request again"};
  if (match.kind == RouteMatch::Kind::kNotFound) {
    return {404, "NoRoute", "no function is reached by this host and path"};
  }
  if (match.kind == RouteMatch::Kind::kHostNotLocal) {
    return {
        403, "HostNotLocal",
        "functions are reached by their names under the host localhost or a loopback address only, unless "
        "mayfly up --by-name opens them to all"};
  }
  if (match.kind == RouteMatch::Kind::kMethodNotAllowed) {
    std::string allow = "Allow: ";
    for (std::size_t i = 0; i < match.allow.size(); ++i)
      allow.append(i > 0 ? ", " : "").append(match.allow[i]);
    allow += "\r\n";
    const bool small = head.body == RequestHead::Body::kLength && head.content_length <= kInlineBody;
    Refuse({405, "MethodNotAllowed", "the functions at this path do not take this method"},
           head.body == RequestHead::Body::kNone || (small && !head.expect_continue), allow);
    return {};
  }
  const v1::FunctionRoute& route = *match.route;
  exchange.metrics = &loop_.function_metrics().Of(route.function());
  // What brings events is kept until the function can be called again.
  if (route.has_unavailable() && !match.events) {
    v1::Result result;
    result.set_outcome(v1::OUTCOME_NOT_STARTED);
    *result.mutable_problem() = route.unavailable();
    exchange.keep_alive = exchange.keep_alive && head.body == RequestHead::Body::kNone;
    AnswerProblem(result);
    return {};
  }
  const std::uint64_t max_bytes =
      route.max_request_bytes() > 0 ? route.max_request_bytes() : loop_.options().max_request_bytes;
  if (head.content_length > max_bytes) {
    return TooLarge(max_bytes);
  }
  decoder_.Start(head, max_bytes);
  // A signature is over the body as it came.
  if (!match.events) {
    if (Refusal refusal = FindEventMode(head, &exchange.event_mode)) return refusal;
  }
  v1::Start& start = exchange.request.start;
  const RequestOrigin origin{peer_, exchange.request_id, loop_.Rfc3339(), loop_.options().trusted_hops};
  const TraceContext trace = MakeTraceContext(head, loop_.ids());
  if (Refusal refusal = FillEvent(head, match, trace, origin, exchange.event_mode, start.mutable_event()))
    return refusal;
  // What brings events is answered by the store, however long the function may take.
  start.set_timeout_ms(route.timeout_ms() > 0 && !match.events
                           ? route.timeout_ms()
                           : static_cast<std::uint32_t>(loop_.options().default_timeout.count()));
  start.set_attempt(1);
  start.set_window(kAnswerWindow);
  exchange.request.route = match.route;
  exchange.request.trigger = match.trigger;
  exchange.request.events = match.events;
  return {};
}

bool Connection::ProcessBody(std::string_view* input) {
  Exchange& exchange = *exchange_;
  const bool structured = exchange.event_mode == EventMode::kStructured;
  const HttpOptions& options = loop_.options();
  const bool roomy = loop_.buffered() < options.buffered_bytes / 2;
  const std::size_t whole = structured ? kStructuredBody : roomy ? options.buffered_body_bytes : kInlineBody;
  std::string& body = exchange.request.body;
  if (body.size() < kInlineBody && loop_.buffered() >= options.buffered_bytes) {
    Refuse(TooManyBodies(), false);
    return true;
  }
  const std::size_t room = whole - std::min(whole, body.size());
  const BodyDecoder::Progress progress = decoder_.Decode(input, options.limits, room, &body);
  SetBuffered(body.capacity());
  switch (progress) {
    case BodyDecoder::Progress::kBad:
      Refuse({400, "BadChunk", "the chunked body's framing is broken"}, false);
      return true;
    case BodyDecoder::Progress::kTooLarge:
      Refuse(TooLarge(decoder_.max_bytes()), false);
      return true;
    case BodyDecoder::Progress::kDone:
      if (structured) {
        if (const Refusal refusal = TakeStructuredEvent(&body, exchange.request.start.mutable_event())) {
          Refuse(refusal, true);
          return true;
        }
      }
      exchange.request.start.set_body_size(body.size());
      Dispatch(true);
      return true;
    case BodyDecoder::Progress::kMore:
      if (body.size() < whole) return false;
      if (structured) {
        Refuse({413, "RequestTooLarge", "an event in JSON must not be larger than 1 MiB"}, false);
      } else {
        Dispatch(false);
      }
      return true;
  }
  return false;
}

void Connection::Dispatch(bool body_complete) {
  Exchange& exchange = *exchange_;
  read_deadline_ms_ = 0;
  state_ = body_complete ? State::kAnswer : State::kStreaming;
  answer_deadline_ms_ =
      loop_.NowMs() + exchange.request.start.timeout_ms() + loop_.options().answer_grace.count();
  UpdateDeadline();
  DispatchRequest request = std::move(exchange.request);
  request.body_complete = body_complete;
  request.departures = &loop_.departures();
  exchange.dispatched = loop_.dispatcher().Begin(std::move(request), exchange_);
}

bool Connection::ProcessStreaming(std::string_view* input) {
  Exchange& exchange = *exchange_;
  if (!exchange.writable || !exchange.dispatched) return false;
  std::string data;
  const BodyDecoder::Progress progress = decoder_.Decode(input, loop_.options().limits, kInlineBody, &data);
  if (progress == BodyDecoder::Progress::kBad) {
    Refuse({400, "BadChunk", "the chunked body's framing is broken"}, false);
    return true;
  }
  if (progress == BodyDecoder::Progress::kTooLarge) {
    Refuse(TooLarge(decoder_.max_bytes()), false);
    return true;
  }
  const bool done = progress == BodyDecoder::Progress::kDone;
  if (data.empty() && !done) return false;
  exchange.writable = false;
  SetReadDeadline(0);
  if (done) state_ = State::kAnswer;
  exchange.dispatched->Write(std::move(data), done);
  return true;
}

void Connection::OnWritable() {
  exchange_->writable = true;
  // What came first is with the replica.
  SetBuffered(0);
  if (state_ != State::kStreaming) return;
  StartBodyPeriod();
  ProcessPending();
  if (end_of_input_) OnEndOfInput();
  ArmRead();
}

void Connection::SetBuffered(std::size_t bytes) {
  loop_.ChangeBuffered(buffered_, bytes);
  buffered_ = bytes;
}

void Connection::CloseIfIdle() {
  if (state_ != State::kHead || head_begun_ || !pending_.empty()) return;
  if (output_.empty()) {
    Close();
  } else {
    BeginClose();
  }
}

void Connection::CutOff() {
  if (exchange_ && !exchange_->answer_begun) {
    Refuse({503, kReasonShuttingDown,
            "the gateway is shutting down, and the function did not answer in time before that"},
           false);
    Flush();
  }
  Close();
}

void Connection::Close() {
  if (state_ == State::kClosed) return;
  const std::shared_ptr<Connection> kept = shared_from_this();
  state_ = State::kClosed;
  SetBuffered(0);
  CancelExchange();
  if (exchange_) {
    exchange_->connection = nullptr;
    exchange_.reset();
  }
  boost::system::error_code ignored;
  socket_.close(ignored);
  pending_ = std::string();
  output_ = OutputBuffer();
  loop_.Forget(*this);
}

}  // namespace mayfly::gateway
