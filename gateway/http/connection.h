// A Connection is one client's TCP connection: a state machine that reads requests, has them dispatched one
// after the other and writes their answers in order.
//
// What it holds in memory is bounded whatever the client and the function do: at most 64 KiB of requests read
// ahead, 1 MiB of a body that waits for its rest (HttpOptions::buffered_body_bytes), 64 KiB of one on its way, and
// 256 KiB of an answer; an idle connection holds no buffer at all. What all connections of an event loop hold of
// bodies, those that wait for a replica among them, is bounded too (HttpOptions::buffered_bytes).
//
// A client that shuts down its sending side still gets its answer, so that alone does not cancel an invocation: a reset
// does. One that has closed says no more than one that shut down its sending side, but answers with a reset to whatever it is
// sent: so both are sent an interim answer when the real one takes its time (HttpOptions::half_close_probe).
//
// Belongs to its event loop's thread, which owns it until it is closed.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/gate.h"
#include "gateway/http/body_decoder.h"
#include "gateway/http/deadlines.h"
#include "gateway/http/exchange.h"
#include "gateway/http/output_buffer.h"
#include "gateway/http/refusal.h"
#include "gateway/http/request_head.h"

namespace mayfly::gateway {

class EventLoop;

// The interim answer that means nothing but "go on".
inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

class Connection final : public std::enable_shared_from_this<Connection>, public DeadlineTarget {
 public:
  Connection(EventLoop& loop, boost::asio::ip::tcp::socket socket, std::string peer, base::Gate::Pass pass);
  ~Connection() override;

  void Start();
  // From the dispatcher, about the request that is being answered.
  void OnPart(v1::ResponsePart&& part);
  void OnWritable();
  void OnDeadline(std::int64_t now_ms) override;
  // Sends what there is to send.
  void Flush();
  void CloseIfIdle();
  // Closes, whatever is under way. A request whose answer has not begun is told so, as far as the socket takes that at once.
  void CutOff();
  void Close();

 private:
  enum class State {
    // Waits for a request or is within its head.
    kHead,
    // Gathers the first of a body before the request is dispatched.
    kBody,
    // Hands the rest of a body to the dispatcher as it takes it.
    kStreaming,
    // The request is complete; waits for its answer to end.
    kAnswer,
    // Throws away the body of a request that is answered already.
    kDiscard,
    // The last answer is written; throws away whatever comes.
    kLinger,
    kClosed,
  };

  // Reading.
  void ArmRead();
  void OnReadable();
  // What is to be done when nothing comes any more after what is here; again after each step.
  void OnEndOfInput();
  void Feed(char* bytes, std::size_t size);
  void ProcessPending();
  // Takes what it can from the front, and returns how much that was.
  std::size_t Process(char* bytes, std::size_t size);
  // Each returns false if nothing more can be taken now.
  bool ProcessHead(char* bytes, std::size_t size, std::size_t* at);
  bool ProcessBody(std::string_view* input);
  bool ProcessStreaming(std::string_view* input);
  void BeginRequest(const RequestHead& head);
  // What stands between a request and its dispatch, body or not.
  Refusal Admit(const RequestHead& head);
  void Dispatch(bool body_complete);
  void StartBodyPeriod();
  // The client has shut down its sending side or closed: finds out which if the answer is long in coming.
  void ExpectProbe();
  void Probe(std::int64_t now_ms);
  // How much memory the request's body takes, here or at the dispatcher.
  void SetBuffered(std::size_t bytes);

  // Writing.
  void Refuse(const Refusal& refusal, bool can_continue, std::string_view more_headers = {});
  void AnswerProblem(const v1::Result& result);
  void AnswerError(int status, std::string_view component, std::string_view reason, std::string_view message,
                   std::string_view more_headers);
  void BeginAnswer(v1::ResponsePart& part);
  void AppendCommonHeaders(std::string* out);
  void AppendData(std::string&& data);
  void EndAnswer(const v1::Result& result);
  // Ends an answer that cannot be completed: what is sent of it is all the client gets.
  void BreakAnswer(std::string_view why);
  void FinishExchange();
  void CancelExchange();
  void AfterSending();
  void GrantSent();
  void ScheduleFlush();
  void BeginClose();

  void SetReadDeadline(std::int64_t deadline_ms);
  void UpdateDeadline();

  EventLoop& loop_;
  const base::Gate::Pass pass_;
  boost::asio::ip::tcp::socket socket_;
  const std::string peer_;
  State state_ = State::kHead;
  bool read_armed_ = false;
  bool error_armed_ = false;
  bool write_armed_ = false;
  bool dirty_ = false;
  // The client has shut down its sending side.
  bool end_of_input_ = false;
  // Nothing is read any more for requests; closed once the output is sent.
  bool closing_ = false;
  bool shut_down_ = false;
  // Part of a head is there.
  bool head_begun_ = false;

  HeadScanner scanner_;
  BodyDecoder decoder_;
  std::string pending_;
  OutputBuffer output_;
  std::shared_ptr<Exchange> exchange_;

  // Monotonic milliseconds; 0: none.
  std::int64_t read_deadline_ms_ = 0;
  std::int64_t write_deadline_ms_ = 0;
  std::int64_t answer_deadline_ms_ = 0;
  std::int64_t probe_deadline_ms_ = 0;
  std::int64_t probe_pause_ms_ = 0;  // 0: no probe is due for the request that is being answered
  std::uint64_t body_bytes_ = 0;
  std::uint64_t body_bytes_before_ = 0;
  std::size_t sent_before_ = 0;
  std::size_t buffered_ = 0;
};

}  // namespace mayfly::gateway
