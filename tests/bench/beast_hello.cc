// What a gateway is compared with: Boost.Beast answering "hello" by itself, an io_context and a thread per
// core, the acceptor handing connections out in turn, Beast's own parser and serialiser.
//
//   beast_hello PORT [THREADS]
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

class Session : public std::enable_shared_from_this<Session> {
 public:
  explicit Session(tcp::socket socket) : stream_(std::move(socket)) {
    stream_.socket().set_option(tcp::no_delay(true));
  }

  void Read() {
    request_ = {};
    http::async_read(stream_, buffer_, request_,
                     [self = shared_from_this()](beast::error_code error, std::size_t) {
                       if (!error) self->Write();
                     });
  }

 private:
  void Write() {
    response_ = {http::status::ok, request_.version()};
    response_.set(http::field::content_type, "text/plain");
    response_.keep_alive(request_.keep_alive());
    response_.body() = "hello\n";
    response_.prepare_payload();
    http::async_write(stream_, response_, [self = shared_from_this()](beast::error_code error, std::size_t) {
      if (!error && self->response_.keep_alive()) self->Read();
    });
  }

  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  http::request<http::string_body> request_;
  http::response<http::string_body> response_;
};

class Acceptor {
 public:
  Acceptor(std::vector<std::unique_ptr<asio::io_context>>& loops, const tcp::endpoint& endpoint)
      : loops_(loops), acceptor_(*loops[0], endpoint) {}

  void Accept() {
    asio::io_context& loop = *loops_[next_++ % loops_.size()];
    acceptor_.async_accept(loop, [this, &loop](beast::error_code error, tcp::socket socket) {
      if (error) return;
      asio::post(loop, [session = std::make_shared<Session>(std::move(socket))] { session->Read(); });
      Accept();
    });
  }

 private:
  std::vector<std::unique_ptr<asio::io_context>>& loops_;
  tcp::acceptor acceptor_;
  std::size_t next_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: beast_hello PORT [THREADS]\n");
    return 2;
  }
  const unsigned threads = argc > 2 ? static_cast<unsigned>(std::atoi(argv[2]))
                                    : std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::unique_ptr<asio::io_context>> loops;
  for (unsigned i = 0; i < threads; ++i) loops.push_back(std::make_unique<asio::io_context>(1));
  Acceptor acceptor(loops,
                    {asio::ip::make_address("127.0.0.1"), static_cast<unsigned short>(std::atoi(argv[1]))});
  acceptor.Accept();
  asio::signal_set signals(*loops[0], SIGINT, SIGTERM);
  signals.async_wait([&](beast::error_code, int) {
    for (const auto& loop : loops) loop->stop();
  });
  std::printf("ready 127.0.0.1:%s\n", argv[1]);
  std::fflush(stdout);
  std::vector<std::jthread> workers;
  for (unsigned i = 1; i < threads; ++i) {
    workers.emplace_back([&loop = *loops[i]] {
      const auto work = asio::make_work_guard(loop);
      loop.run();
    });
  }
  loops[0]->run();
  return 0;
}
