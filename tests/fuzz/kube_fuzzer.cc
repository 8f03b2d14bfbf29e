// Whatever an API server, or a proxy before it, sends: read whole or refused, the same however the network cuts it. The
// first byte chooses the reader.
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "operator/kube/api_error.h"
#include "operator/kube/exec_plugin.h"
#include "operator/kube/json.h"
#include "operator/kube/lease.h"
#include "operator/kube/object_meta.h"
#include "operator/kube/watch_stream.h"

namespace {

using mayfly::kube::JsonDocument;
using mayfly::kube::JsonView;
using mayfly::kube::WatchEvent;
using mayfly::kube::WatchStream;

void Require(bool holds) {
  if (!holds) std::abort();
}

void Visit(const JsonView& view) {
  (void)view.Text();
  (void)view.Integer();
  (void)view.Bool();
  view.ForEachItem([](JsonView item) { Visit(item); });
  view.ForEachField([](std::string_view, JsonView value) { Visit(value); });
}

// The events of `text`, fed in pieces of `piece` bytes, and how it ended.
std::string ReadWatch(std::string_view text, std::size_t piece) {
  WatchStream stream;
  std::string seen;
  for (std::size_t at = 0; at < text.size(); at += piece) {
    const absl::Status read = stream.Feed(text.substr(at, piece), [&seen](const WatchEvent& event) {
      seen += std::to_string(static_cast<int>(event.type)) + mayfly::kube::KeyOf(event.object) + "\n";
      (void)mayfly::kube::ReadMeta(event.object);
      (void)mayfly::kube::ControllerUid(event.object);
    });
    if (!read.ok()) return seen + std::string(read.message());
  }
  return seen + std::string(stream.Finish().message());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      Require(ReadWatch(text, 1) == ReadWatch(text, text.size() + 1));
      break;
    case 1: {
      JsonDocument document;
      if (document.Parse(text).ok()) {
        Visit(document.root());
        // What is read as JSON is written as JSON.
        JsonDocument again;
        Require(again.Parse(document.root().ToJson()).ok());
      }
      break;
    }
    case 2: {
      const absl::Status status = mayfly::kube::StatusFromAnswer(400 + data[0] / 4, text, std::nullopt);
      Require(!status.ok() && mayfly::kube::ApiErrorOf(status).has_value());
      break;
    }
    default: {
      (void)mayfly::kube::ParseExecCredential(text, "client.authentication.k8s.io/v1");
      JsonDocument document;
      if (document.Parse(text).ok()) {
        const auto lease = mayfly::kube::ReadLease(document.root());
        Require(lease.transitions >= 0 && lease.duration.count() >= 0);
      }
    }
  }
  return 0;
}
