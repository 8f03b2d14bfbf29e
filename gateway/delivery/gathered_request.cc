#include "gateway/delivery/gathered_request.h"

#include <utility>

#include "gateway/delivery/json_answer.h"

namespace mayfly::gateway {
namespace {

class Gathering final : public Dispatched {
 public:
  Gathering(DispatchRequest request, std::shared_ptr<AnswerSink> sink, GatherBudget& budget,
            std::function<void(GatheredRequest)> whole)
      : budget_(budget), request_(std::move(request)), sink_(std::move(sink)), whole_(std::move(whole)) {}
  ~Gathering() override {
    *cancelled_ = true;
    budget_.Remove(counted_);
  }

  // Takes what is there of the body; `end`: that is all.
  void Take(std::string data, bool end) {
    if (!budget_.Fits(data.size())) {
      ReplyProblem(*std::exchange(sink_, nullptr), 429, "TooManyBodies",
                   "too many bodies of requests that become events are in memory: try again in a moment");
      return;
    }
    counted_ += data.size();
    budget_.Add(data.size());
    if (request_.body.empty()) {
      request_.body = std::move(data);
    } else {
      request_.body += data;
    }
    if (!end) {
      sink_->OnWritable();
      return;
    }
    request_.body_complete = true;
    whole_({std::move(request_), std::exchange(sink_, nullptr), cancelled_});
  }

  void Write(std::string data, bool end) override {
    if (sink_ != nullptr) Take(std::move(data), end);
  }
  void Grant(std::uint64_t) override {}
  void Cancel() override {
    sink_ = nullptr;
    *cancelled_ = true;
  }

 private:
  GatherBudget& budget_;
  DispatchRequest request_;
  std::shared_ptr<AnswerSink> sink_;
  const std::function<void(GatheredRequest)> whole_;
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  std::size_t counted_ = 0;
};

}  // namespace

std::unique_ptr<Dispatched> GatherRequest(DispatchRequest request, std::shared_ptr<AnswerSink> sink,
                                          GatherBudget& budget, std::function<void(GatheredRequest)> whole) {
  std::string begun = std::exchange(request.body, {});
  const bool end = request.body_complete;
  auto gathering = std::make_unique<Gathering>(std::move(request), std::move(sink), budget, std::move(whole));
  gathering->Take(std::move(begun), end);
  return gathering;
}

}  // namespace mayfly::gateway
