#include "tls/peer_verifier.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/log.h"

namespace mayfly::tls {
namespace {

constexpr std::size_t kMostTold = 100;

std::string ToString(grpc::string_ref text) { return {text.data(), text.size()}; }

}  // namespace

bool PeerVerifier::Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request,
                          std::function<void(grpc::Status)>, grpc::Status* status) {
  const std::vector<std::string> wanted =
      callers_.empty() ? std::vector{ToString(request->target_name())} : callers_;
  std::vector<std::string> names;
  for (const grpc::string_ref& name : request->dns_names()) names.push_back(ToString(name));
  const auto match = [&](const std::string& name) {
    return std::find(wanted.begin(), wanted.end(), name) != wanted.end();
  };
  // One name, so that it is clear who this is wherever it is asked again.
  if (names.size() == 1 && match(names[0])) {
    *status = grpc::Status::OK;
  } else {
    const std::string refusal = fmt::format(
        "the {}'s certificate is for \"{}\", and only \"{}\" is taken here",
        callers_.empty() ? "server" : "client", fmt::join(names, ", "), fmt::join(wanted, "\" or \""));
    Tell(refusal);
    *status = {grpc::StatusCode::UNAUTHENTICATED, refusal};
  }
  return true;
}

void PeerVerifier::Tell(const std::string& refusal) {
  {
    const std::lock_guard lock(mutex_);
    if (told_.size() >= kMostTold || !told_.insert(refusal).second) return;
  }
  base::log::Warn("a connection is refused", {{"why", refusal}});
}

}  // namespace mayfly::tls
