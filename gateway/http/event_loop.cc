#include "gateway/http/event_loop.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>
#include <ctime>

#include "base/log.h"
#include "base/thread.h"
#include "gateway/http/connection.h"

namespace mayfly::gateway {
namespace {

namespace asio = boost::asio;
using std::chrono::duration_cast;

// Bodies of less are not worth a walk through the allocator's arenas, which holds them up; nor is it often.
constexpr std::size_t kWorthReturning = 8 * 1024 * 1024;
constexpr std::int64_t kReturnPauseMs = 2'000;

}  // namespace

EventLoop::EventLoop(const HttpOptions& options, const Router& router, Dispatcher& dispatcher,
                     HttpMetrics& metrics)
    : options_(options),
      router_(router),
      dispatcher_(dispatcher),
      metrics_(metrics),
      function_metrics_(metrics.metrics()),
      routes_(router),
      work_(io_.get_executor()),
      timer_(io_),
      deadlines_(NowMs()),
      inbox_(std::make_shared<Inbox>()),
      scratch_(std::make_unique<char[]>(kScratchSize)) {}

EventLoop::~EventLoop() { inbox_->Close(); }

void EventLoop::Start(const std::string& thread_name) {
  inbox_->Open([this] { asio::post(io_, [this] { Settle(); }); });
  thread_ = base::StartThread(thread_name, [this](const std::stop_token&) {
    inbox_->SetOwner(std::this_thread::get_id());
    io_.run();
  });
}

void EventLoop::Adopt(asio::ip::tcp::socket socket, std::string peer, base::Gate::Pass pass) {
  connection_count_.fetch_add(1, std::memory_order_relaxed);
  metrics_.AddConnection();
  // The loop may already be stopped: then the socket is closed with what was posted.
  asio::post(io_,
             [this, socket = std::move(socket), peer = std::move(peer), pass = std::move(pass)]() mutable {
               auto connection =
                   std::make_shared<Connection>(*this, std::move(socket), std::move(peer), std::move(pass));
               all_.insert(connection);
               if (!ticking_) Tick();
               connection->Start();
               Settle();
             });
}

void EventLoop::Drain() {
  asio::post(io_, [this] {
    draining_ = true;
    const std::vector<std::shared_ptr<Connection>> all(all_.begin(), all_.end());
    for (const auto& connection : all) connection->CloseIfIdle();
    Settle();
  });
}

void EventLoop::Stop() {
  asio::post(io_, [this] {
    draining_ = true;
    const std::vector<std::shared_ptr<Connection>> all(all_.begin(), all_.end());
    for (const auto& connection : all) connection->CutOff();
    departures_.SendAll();
    inbox_->Close();
    dirty_.clear();
    timer_.cancel();
    io_.stop();
  });
}

void EventLoop::Forget(Connection& connection) {
  deadlines_.Remove(connection);
  if (all_.erase(connection.shared_from_this()) == 0) return;
  connection_count_.fetch_sub(1, std::memory_order_relaxed);
  metrics_.RemoveConnection();
}

void EventLoop::MarkDirty(std::shared_ptr<Connection> connection) { dirty_.push_back(std::move(connection)); }

void EventLoop::Settle() {
  while (true) {
    inbox_->TakeAll(&items_);
    if (items_.empty() && dirty_.empty()) return ScheduleDepartures();
    for (Inbox::Item& item : items_) {
      Connection* connection = item.exchange->connection;
      if (connection == nullptr) continue;
      // The connection may close, and with it go, while it handles this.
      const std::shared_ptr<Connection> kept = connection->shared_from_this();
      if (item.writable) {
        kept->OnWritable();
      } else {
        kept->OnPart(std::move(item.part));
      }
    }
    items_.clear();
    flushing_.swap(dirty_);
    for (const auto& connection : flushing_) connection->Flush();
    flushing_.clear();
  }
}

void EventLoop::ScheduleDepartures() {
  if (departing_ || departures_.empty()) return;
  departing_ = true;
  // Runs after the handlers of every event that the last look at the sockets found.
  asio::post(io_, [this] {
    departing_ = false;
    departures_.SendAll();
  });
}

void EventLoop::ChangeBuffered(std::size_t before, std::size_t now) {
  buffered_ += now - before;
  most_buffered_ = std::max(most_buffered_, buffered_);
}

void EventLoop::ReturnMemory() {
  // Freed bodies lie between what lives on, so the allocator keeps their pages unless it is asked.
  const std::int64_t now_ms = NowMs();
  if (buffered_ > most_buffered_ / 4 || now_ms < returned_ms_ + kReturnPauseMs) return;
  ::malloc_trim(0);
  most_buffered_ = buffered_;
  returned_ms_ = now_ms;
}

void EventLoop::Tick() {
  if (most_buffered_ >= kWorthReturning) ReturnMemory();
  ticking_ = !all_.empty() || most_buffered_ >= kWorthReturning;
  if (!ticking_) return;
  timer_.expires_after(std::chrono::milliseconds(Deadlines::kTickMs));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    deadlines_.Advance(NowMs());
    Tick();
    Settle();
  });
}

std::int64_t EventLoop::NowMs() const { return NowUs() / 1000; }

std::int64_t EventLoop::NowUs() const {
  return duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::uint64_t EventLoop::UnixMs() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(duration_cast<std::chrono::milliseconds>(now).count());
}

void EventLoop::UpdateTime() {
  const std::uint64_t ms = UnixMs();
  const auto second = static_cast<std::int64_t>(ms / 1000);
  if (second != formatted_second_) {
    formatted_second_ = second;
    const std::tm utc = fmt::gmtime(static_cast<std::time_t>(second));
    date_size_ = fmt::format_to_n(date_, sizeof(date_), "{:%a, %d %b %Y %H:%M:%S} GMT", utc).size;
    fmt::format_to_n(rfc3339_, sizeof(rfc3339_), "{:%Y-%m-%dT%H:%M:%S}.000Z", utc);
  }
  const auto part = static_cast<unsigned>(ms % 1000);
  rfc3339_[20] = static_cast<char>('0' + part / 100);
  rfc3339_[21] = static_cast<char>('0' + part / 10 % 10);
  rfc3339_[22] = static_cast<char>('0' + part % 10);
}

std::string_view EventLoop::Date() {
  UpdateTime();
  return {date_, date_size_};
}

std::string_view EventLoop::Rfc3339() {
  UpdateTime();
  constexpr std::size_t kSize = sizeof("2026-01-01T00:00:00.000Z") - 1;
  return {rfc3339_, kSize};
}

}  // namespace mayfly::gateway
