// A UrlDispatcher posts events to the URLs that functions have as destinations, as CloudEvents in binary mode.
//
// What a server answers is the result, as of a function: a 2xx is done, a 5xx or no answer is tried again, any other status
// is a refusal.
//
// Thread-safe.
#pragma once

#include <memory>

#include "gateway/client/http_client.h"
#include "gateway/delivery/dispatcher.h"

namespace mayfly::gateway {

class UrlDispatcher final : public Dispatcher {
 public:
  // `client` must outlive this.
  explicit UrlDispatcher(HttpClient& client) : client_(client) {}

  // The request's trigger is one that GoesToUrl().
  std::unique_ptr<Dispatched> Begin(DispatchRequest request, std::shared_ptr<AnswerSink> sink) override;

 private:
  HttpClient& client_;
};

// `event` and `body` as a request to `url`.
HttpCall EventCall(const std::string& url, const v1::Event& event, std::string body);

}  // namespace mayfly::gateway
