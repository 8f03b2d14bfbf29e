#include "runtime/pool/request_writer.h"

#include <cstring>
#include <string>

#include "runtime/ipc/layout.h"

namespace mayfly::runtime {
namespace {

// Appends to the area and remembers whether everything fitted.
class Appender {
 public:
  Appender(char* area, std::size_t room) : area_(area), room_(room), end_(sizeof(ipc::Request)) {}

  ipc::Span Text(const std::string& text) {
    if (!Fits(text.size())) return {0, 0};
    const ipc::Span span{static_cast<std::uint32_t>(end_), static_cast<std::uint32_t>(text.size())};
    std::memcpy(area_ + end_, text.data(), text.size());
    end_ += text.size();
    return span;
  }

  template <typename Pairs>
  ipc::PairTable Table(const Pairs& pairs) {
    end_ = ipc::RoundUp(end_, alignof(ipc::SpanPair));
    const std::size_t count = static_cast<std::size_t>(pairs.size());
    if (!Fits(count * sizeof(ipc::SpanPair))) return {0, 0};
    auto* table = reinterpret_cast<ipc::SpanPair*>(area_ + end_);
    const ipc::PairTable result{static_cast<std::uint32_t>(end_), static_cast<std::uint32_t>(count)};
    end_ += count * sizeof(ipc::SpanPair);
    for (const v1::Pair& pair : pairs) {
      table->name = Text(pair.name());
      table->value = Text(pair.value());
      ++table;
    }
    return result;
  }

  bool fitted() const { return fitted_; }
  std::size_t end() const { return end_; }

 private:
  bool Fits(std::size_t size) {
    if (size > room_ || end_ + size > room_) fitted_ = false;
    return fitted_;
  }

  char* const area_;
  const std::size_t room_;
  std::size_t end_;
  bool fitted_ = true;
};

}  // namespace

absl::StatusOr<std::size_t> WriteRequestHead(const v1::Start& start, std::uint64_t deadline_ns, char* area,
                                             std::size_t room) {
  const v1::Event& event = start.event();
  Appender out(area, room);
  ipc::Request request{};
  request.deadline_ns = deadline_ns;
  request.attempt = start.attempt() == 0 ? 1 : start.attempt();
  request.is_http = event.has_http() ? 1 : 0;
  request.invocation_id = out.Text(start.invocation_id());
  request.id = out.Text(event.id());
  request.source = out.Text(event.source());
  request.type = out.Text(event.type());
  request.subject = out.Text(event.subject());
  request.time = out.Text(event.time());
  request.data_content_type = out.Text(event.data_content_type());
  request.attributes = out.Table(event.attributes());
  if (event.has_http()) {
    request.method = out.Text(event.http().method());
    request.path = out.Text(event.http().path());
    request.query = out.Text(event.http().query());
    request.headers = out.Table(event.http().headers());
    request.parameters = out.Table(event.http().path_parameters());
  }
  if (!out.fitted()) {
    return absl::ResourceExhaustedError("the event's attributes and headers are larger than " +
                                        std::to_string(room >> 10) + " KiB");
  }
  request.body_offset = ipc::RoundUp(out.end(), 64);
  std::memcpy(area, &request, sizeof(request));
  return static_cast<std::size_t>(request.body_offset);
}

void WriteBodySize(char* area, std::uint64_t size) {
  std::memcpy(area + offsetof(ipc::Request, body_size), &size, sizeof(size));
}

}  // namespace mayfly::runtime
