#include "admin/admin_session.h"

#include <algorithm>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <optional>
#include <string_view>
#include <utility>

namespace mayfly::admin {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

constexpr std::size_t kHeadBytes = 16u << 10;
constexpr std::size_t kBodyBytes = 1u << 20;
constexpr std::chrono::seconds kPatience{5};
constexpr std::chrono::seconds kGoodbye{1};

using Stream = beast::basic_stream<boost::asio::generic::stream_protocol, SessionSocket::executor_type>;

// The value of `name` in "a=1&b=2", as it stands there.
std::string QueryValue(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    const std::size_t equals = pair.find('=');
    if (pair.substr(0, equals) == name) {
      return std::string(equals == std::string_view::npos ? "" : pair.substr(equals + 1));
    }
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
  }
  return "";
}

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(SessionSocket socket, std::shared_ptr<SessionLimit> limit,
          std::function<Reply(const Request&)> answer)
      : stream_(std::move(socket)), limit_(std::move(limit)), answer_(std::move(answer)) {}
  ~Session() { --limit_->open; }

  void Read() {
    parser_.emplace();
    parser_->header_limit(kHeadBytes);
    parser_->body_limit(kBodyBytes);
    stream_.expires_after(kPatience);
    http::async_read(stream_, buffer_, *parser_,
                     [self = shared_from_this()](error_code error, std::size_t) { self->OnRead(error); });
  }

 private:
  void OnRead(error_code error) {
    if (error == http::error::end_of_stream || error == beast::error::timeout) return;
    if (error.category() == http::make_error_code(http::error::end_of_stream).category()) {
      const int status = error == http::error::body_limit     ? 413
                         : error == http::error::header_limit ? 431
                                                              : 400;
      return Write(Reply{status, "text/plain", error.message() + "\n"}, 11, false, false);
    }
    if (error) return;
    const auto& message = parser_->get();
    const std::string_view target(message.target().data(), message.target().size());
    const std::size_t mark = target.find('?');
    const std::string query(mark == std::string_view::npos ? "" : target.substr(mark + 1));
    const bool head = message.method() == http::verb::head;
    Request request;
    request.method = head ? "GET" : std::string(message.method_string());
    request.path = std::string(target.substr(0, mark));
    request.body = message.body();
    request.query = [query](const std::string& name) { return QueryValue(query, name); };
    Write(answer_(request), message.version(), message.keep_alive(), head);
  }

  void Write(Reply reply, unsigned version, bool keep_alive, bool head) {
    response_ = {static_cast<http::status>(reply.status), version};
    response_.set(http::field::content_type, reply.content_type);
    response_.keep_alive(keep_alive);
    response_.content_length(reply.body.size());
    if (!head) response_.body() = std::move(reply.body);
    stream_.expires_after(kPatience);
    http::async_write(stream_, response_, [self = shared_from_this()](error_code error, std::size_t) {
      if (error) return;
      if (self->response_.keep_alive()) return self->Read();
      self->stream_.socket().shutdown(boost::asio::socket_base::shutdown_send, error);
      self->stream_.expires_after(kGoodbye);
      self->Discard();
    });
  }

  // A socket closed with bytes that nobody read resets the connection, and the answer may be lost with it.
  void Discard() {
    buffer_.clear();
    stream_.async_read_some(buffer_.prepare(kHeadBytes),
                            [self = shared_from_this()](error_code error, std::size_t) {
                              if (!error) self->Discard();
                            });
  }

  Stream stream_;
  std::shared_ptr<SessionLimit> limit_;
  std::function<Reply(const Request&)> answer_;
  beast::flat_buffer buffer_{kHeadBytes + kBodyBytes};
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> response_;
};

}  // namespace

void StartSession(SessionSocket socket, std::shared_ptr<SessionLimit> limit,
                  std::function<Reply(const Request&)> answer) {
  const bool room = ++limit->open <= SessionLimit::kMost;
  const auto session = std::make_shared<Session>(std::move(socket), std::move(limit), std::move(answer));
  if (room) session->Read();
}

}  // namespace mayfly::admin
