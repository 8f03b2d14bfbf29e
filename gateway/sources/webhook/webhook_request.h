// A request that a service sends to a webhook: as it came, and what is answered.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/sources/cloud_event.h"

namespace mayfly::gateway {

struct WebhookRequest {
  std::string method;
  std::string path;
  std::string query;
  // Names in lower case.
  std::vector<std::pair<std::string, std::string>> headers;
  // Of its route, percent-decoded.
  std::vector<std::pair<std::string, std::string>> path_parameters{};
  // The raw bytes: what a signature is over.
  std::string body;

  // The value of the first header `name`, or "".
  std::string_view Header(std::string_view name) const {
    for (const auto& [header, value] : headers) {
      if (header == name) return value;
    }
    return {};
  }
  bool Has(std::string_view name) const {
    for (const auto& [header, value] : headers) {
      if (header == name) return true;
    }
    return false;
  }
};

struct WebhookAnswer {
  int status = 202;
  std::string content_type;
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
};

// What a request says.
struct Notices {
  std::vector<CloudEvent> events;
  // What the sender wants to hear, instead of a plain 202.
  bool has_answer = false;
  WebhookAnswer answer;
};

}  // namespace mayfly::gateway
