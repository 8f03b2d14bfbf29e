#include "gateway/sources/nats/nats_connection.h"

#include <nats/nats.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>

#include "gateway/sources/nats/nats_key.h"

namespace mayfly::gateway {
namespace {

// The client's threads are still there when the process ends, and hold OpenSSL's locks: so OpenSSL is not taken down then. To be said before
// anybody uses it. (nats_CloseAndWait() would end the threads, but frees a list of OpenSSL's that OpenSSL frees again.)
[[maybe_unused]] const int kNoTakingDown = OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr);

constexpr std::int64_t kConnectMs = 2'000;
constexpr std::int64_t kWriteMs = 5'000;
// A server that is frozen is found out within half a minute.
constexpr std::int64_t kPingMs = 10'000;
constexpr int kPings = 2;
constexpr int kBufferBytes = 16 << 10;
constexpr std::int64_t kDrainMs = 5'000;
constexpr int kMostQueued = 1'000'000;  // libnats multiplies it by 1,024

std::uint64_t NextId() {
  static std::atomic<std::uint64_t> next{1};
  return next.fetch_add(1);
}

// What libnats says of a call that failed on this thread.
absl::Status Failure(natsStatus code) {
  const char* const last = nats_GetLastError(nullptr);
  std::string text = last != nullptr && *last != '\0' ? last : natsStatus_GetText(code);
  // libnats says first where it was: "(conn.c:1905): Authorization Violation".
  if (const std::size_t at = text.find("): "); text.starts_with('(') && at != std::string::npos)
    text.erase(0, at + 3);
  // With TLS 1.3 a server that wants a certificate says so when the client takes itself for connected already.
  if (text == "Expected 'PONG', got ''")
    text =
        "the server closed the connection at once; it may want a client's certificate (tls.crt and tls.key)";
  switch (code) {
    case NATS_CONNECTION_AUTH_FAILED:
    case NATS_NOT_PERMITTED:
      return absl::PermissionDeniedError(text);
    case NATS_INVALID_ARG:
    case NATS_SSL_ERROR:
    case NATS_SECURE_CONNECTION_REQUIRED:
    case NATS_SECURE_CONNECTION_WANTED:
      return absl::FailedPreconditionError(text);
    default:
      return absl::UnavailableError(text);
  }
}

// What libnats calls back with: the connection's, or a subscription's.
struct Callback {
  std::shared_ptr<NatsInbox> inbox;
  std::uint64_t connection = 0;
  std::uint64_t subscription = 0;
};

void OnMessage(natsConnection*, natsSubscription*, natsMsg* message, void* closure) {
  const auto* const callback = static_cast<const Callback*>(closure);
  callback->inbox->Put({.kind = NatsInbox::Item::Kind::kMessage,
                        .connection = callback->connection,
                        .subscription = callback->subscription,
                        .message = std::make_unique<NatsMessage>(message)});
}

// The last call of a subscription.
void OnComplete(void* closure) {
  const std::unique_ptr<Callback> callback(static_cast<Callback*>(closure));
  callback->inbox->Put({.kind = NatsInbox::Item::Kind::kDrained,
                        .connection = callback->connection,
                        .subscription = callback->subscription});
}

std::string LastError(natsConnection* connection) {
  const char* text = nullptr;
  const natsStatus code = natsConnection_GetLastError(connection, &text);
  if (text != nullptr && *text != '\0') return text;
  return code == NATS_OK ? "the connection was closed" : natsStatus_GetText(code);
}

void OnError(natsConnection* connection, natsSubscription*, natsStatus, void* closure) {
  const auto* const callback = static_cast<const Callback*>(closure);
  callback->inbox->Put({.kind = NatsInbox::Item::Kind::kError,
                        .connection = callback->connection,
                        .text = LastError(connection)});
}

// The last call of a connection.
void OnClosed(natsConnection* connection, void* closure) {
  const std::unique_ptr<Callback> callback(static_cast<Callback*>(closure));
  callback->inbox->Put({.kind = NatsInbox::Item::Kind::kClosed,
                        .connection = callback->connection,
                        .text = LastError(connection)});
}

natsStatus OnUserJwt(char** jwt, char** error, void* closure) {
  const absl::StatusOr<std::string> text =
      NatsJwtOf(static_cast<const NatsConnectionSettings*>(closure)->creds);
  if (!text.ok()) {
    *error = ::strdup(std::string(text.status().message()).c_str());
    return NATS_ERR;
  }
  *jwt = ::strdup(text->c_str());
  return NATS_OK;
}

// `nonce` is null where the server asks nobody for a signature: it may still, after its configuration changes.
natsStatus OnSign(char** error, unsigned char** signature, int* length, const char* nonce, void* closure) {
  const auto* const settings = static_cast<const NatsConnectionSettings*>(closure);
  const absl::StatusOr<std::string> seed = settings->creds.empty()
                                               ? absl::StatusOr<std::string>(settings->nkey_seed)
                                               : NatsSeedOf(settings->creds);
  absl::StatusOr<std::string> made =
      seed.ok() ? NatsSign(*seed, nonce == nullptr ? "" : nonce) : seed.status();
  if (!made.ok()) {
    *error = ::strdup(std::string(made.status().message()).c_str());
    return NATS_ERR;
  }
  *signature = static_cast<unsigned char*>(std::malloc(made->size()));
  std::copy(made->begin(), made->end(), *signature);
  *length = static_cast<int>(made->size());
  return NATS_OK;
}

// Collects the first failure of many calls.
class Options {
 public:
  explicit Options(natsOptions* options) : options_(options) {}

  template <typename F, typename... Arguments>
  void Set(F function, Arguments... arguments) {
    if (status_.ok()) {
      if (const natsStatus code = function(options_, arguments...); code != NATS_OK) status_ = Failure(code);
    }
  }
  void Fail(const absl::Status& status) {
    if (status_.ok()) status_ = status;
  }
  const absl::Status& status() const { return status_; }

 private:
  natsOptions* const options_;
  absl::Status status_;
};

}  // namespace

std::string_view NatsMessage::subject() const { return natsMsg_GetSubject(message_.get()); }

std::string_view NatsMessage::reply() const {
  const char* const reply = natsMsg_GetReply(message_.get());
  return reply == nullptr ? std::string_view() : reply;
}

std::string_view NatsMessage::data() const {
  const int length = natsMsg_GetDataLength(message_.get());
  return length <= 0 ? std::string_view()
                     : std::string_view(natsMsg_GetData(message_.get()), static_cast<std::size_t>(length));
}

std::string_view NatsMessage::Header(const char* name) const {
  const char* value = nullptr;
  return natsMsgHeader_Get(message_.get(), name, &value) == NATS_OK && value != nullptr ? value : "";
}

std::vector<std::pair<std::string, std::string>> NatsMessage::Headers() const {
  std::vector<std::pair<std::string, std::string>> headers;
  const char** keys = nullptr;
  int count = 0;
  if (natsMsgHeader_Keys(message_.get(), &keys, &count) != NATS_OK) return headers;
  for (int i = 0; i < count; ++i) headers.emplace_back(keys[i], Header(keys[i]));
  std::free(static_cast<void*>(keys));
  return headers;
}

void NatsMessage::Destroy::operator()(__natsMsg* message) const { natsMsg_Destroy(message); }

void NatsInbox::Put(Item item) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = items_.empty();
    items_.push_back(std::move(item));
  }
  if (first) changed_.notify_all();
}

void NatsInbox::Wake() {
  {
    const std::lock_guard lock(mutex_);
    if (woken_) return;
    woken_ = true;
  }
  changed_.notify_all();
}

std::vector<NatsInbox::Item> NatsInbox::Take(const base::Clock& clock, const std::stop_token& stop,
                                             base::MonotonicTime deadline, std::size_t most) {
  std::unique_lock lock(mutex_);
  clock.WaitUntil(lock, changed_, stop, deadline, [this] { return woken_ || !items_.empty(); });
  woken_ = false;
  if (items_.size() <= most) return std::exchange(items_, {});
  std::vector<Item> taken(std::make_move_iterator(items_.begin()),
                          std::make_move_iterator(items_.begin() + static_cast<std::ptrdiff_t>(most)));
  items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(most));
  woken_ = true;  // for the rest
  return taken;
}

struct NatsConnection::Impl {
  NatsConnectionSettings settings;
  std::shared_ptr<NatsInbox> inbox;
  std::uint64_t id = NextId();
  natsOptions* options = nullptr;
  natsConnection* connection = nullptr;
  std::map<std::uint64_t, natsSubscription*> subscriptions;

  ~Impl() {
    for (const auto& [number, subscription] : subscriptions) natsSubscription_Destroy(subscription);
    natsConnection_Destroy(connection);
    natsOptions_Destroy(options);
  }
};

NatsConnection::NatsConnection(std::unique_ptr<Impl> impl) : id_(impl->id), impl_(std::move(impl)) {}
NatsConnection::~NatsConnection() = default;

absl::StatusOr<std::unique_ptr<NatsConnection>> NatsConnection::Connect(
    const NatsConnectionSettings& settings, std::shared_ptr<NatsInbox> inbox) {
  auto impl = std::make_unique<Impl>();
  impl->settings = settings;
  impl->inbox = inbox;
  if (natsOptions_Create(&impl->options) != NATS_OK) return absl::ResourceExhaustedError("out of memory");
  Options options(impl->options);
  std::vector<const char*> servers;
  for (const std::string& server : impl->settings.servers) servers.push_back(server.c_str());
  options.Set(natsOptions_SetServers, servers.data(), static_cast<int>(servers.size()));
  options.Set(natsOptions_SetName, settings.client_name.c_str());
  options.Set(natsOptions_SetAllowReconnect, false);
  options.Set(natsOptions_SetTimeout, kConnectMs);
  options.Set(natsOptions_SetWriteDeadline, kWriteMs);
  options.Set(natsOptions_SetPingInterval, kPingMs);
  options.Set(natsOptions_SetMaxPingsOut, kPings);
  options.Set(natsOptions_SetIOBufSize, kBufferBytes);
  options.Set(natsOptions_SetMaxPendingMsgs, kMostQueued);
  options.Set(natsOptions_UseGlobalMessageDelivery, true);
  const bool secure = !settings.ca.empty() || !settings.certificate.empty() ||
                      std::any_of(settings.servers.begin(), settings.servers.end(),
                                  [](const std::string& server) { return server.starts_with("tls://"); });
  if (secure) options.Set(natsOptions_SetSecure, true);
  if (!settings.ca.empty()) options.Set(natsOptions_SetCATrustedCertificates, settings.ca.c_str());
  if (!settings.certificate.empty())
    options.Set(natsOptions_SetCertificatesChain, settings.certificate.c_str(), settings.key.c_str());
  if (!settings.username.empty())
    options.Set(natsOptions_SetUserInfo, settings.username.c_str(), settings.password.c_str());
  if (!settings.token.empty()) options.Set(natsOptions_SetToken, settings.token.c_str());
  if (!settings.creds.empty()) {
    options.Set(natsOptions_SetUserCredentialsCallbacks, OnUserJwt, static_cast<void*>(&impl->settings),
                OnSign, static_cast<void*>(&impl->settings));
  } else if (!settings.nkey_seed.empty()) {
    const absl::StatusOr<std::string> key = NatsPublicKeyOf(settings.nkey_seed);
    if (!key.ok()) options.Fail(key.status());
    if (key.ok()) options.Set(natsOptions_SetNKey, key->c_str(), OnSign, static_cast<void*>(&impl->settings));
  }
  auto callback = std::make_unique<Callback>(Callback{.inbox = inbox, .connection = impl->id});
  options.Set(natsOptions_SetErrorHandler, OnError, static_cast<void*>(callback.get()));
  options.Set(natsOptions_SetClosedCB, OnClosed, static_cast<void*>(callback.get()));
  if (!options.status().ok()) return options.status();
  if (const natsStatus code = natsConnection_Connect(&impl->connection, impl->options); code != NATS_OK)
    return Failure(code);
  (void)callback.release();  // OnClosed() deletes it
  return std::unique_ptr<NatsConnection>(new NatsConnection(std::move(impl)));
}

absl::Status NatsConnection::Publish(const std::string& subject, const std::string& reply,
                                     std::string_view data) {
  const auto size = static_cast<int>(data.size());
  const natsStatus code = reply.empty()
                              ? natsConnection_Publish(impl_->connection, subject.c_str(), data.data(), size)
                              : natsConnection_PublishRequest(impl_->connection, subject.c_str(),
                                                              reply.c_str(), data.data(), size);
  return code == NATS_OK ? absl::OkStatus() : Failure(code);
}

absl::Status NatsConnection::PublishWithHeaders(
    const std::string& subject, const std::string& reply, std::string_view data,
    const std::vector<std::pair<std::string, std::string>>& headers) {
  natsMsg* message = nullptr;
  natsStatus code = natsMsg_Create(&message, subject.c_str(), reply.empty() ? nullptr : reply.c_str(),
                                   data.data(), static_cast<int>(data.size()));
  for (const auto& [name, value] : headers) {
    if (code == NATS_OK) code = natsMsgHeader_Set(message, name.c_str(), value.c_str());
  }
  if (code == NATS_OK) code = natsConnection_PublishMsg(impl_->connection, message);
  const absl::Status status = code == NATS_OK ? absl::OkStatus() : Failure(code);
  natsMsg_Destroy(message);
  return status;
}

absl::StatusOr<std::uint64_t> NatsConnection::Subscribe(const std::string& subject) {
  const std::uint64_t number = NextId();
  auto callback = std::make_unique<Callback>(
      Callback{.inbox = impl_->inbox, .connection = impl_->id, .subscription = number});
  natsSubscription* subscription = nullptr;
  const natsStatus code =
      natsConnection_Subscribe(&subscription, impl_->connection, subject.c_str(), OnMessage, callback.get());
  if (code != NATS_OK) return Failure(code);
  // As many as were asked for are on their way at most: none is to be dropped.
  natsSubscription_SetPendingLimits(subscription, -1, -1);
  if (const natsStatus complete = natsSubscription_SetOnCompleteCB(subscription, OnComplete, callback.get());
      complete != NATS_OK) {
    natsSubscription_Destroy(subscription);
    (void)callback.release();  // a message may still be on its way to it
    return Failure(complete);
  }
  (void)callback.release();  // OnComplete() deletes it
  impl_->subscriptions[number] = subscription;
  return number;
}

void NatsConnection::Unsubscribe(std::uint64_t subscription) {
  const auto found = impl_->subscriptions.find(subscription);
  if (found == impl_->subscriptions.end()) return;
  natsSubscription_Unsubscribe(found->second);
  natsSubscription_Destroy(found->second);
  impl_->subscriptions.erase(found);
}

void NatsConnection::Drain(std::uint64_t subscription) {
  const auto found = impl_->subscriptions.find(subscription);
  if (found != impl_->subscriptions.end()) natsSubscription_DrainTimeout(found->second, kDrainMs);
}

absl::Status NatsConnection::Flush(std::chrono::milliseconds within) {
  const natsStatus code =
      natsConnection_FlushTimeout(impl_->connection, std::max<std::int64_t>(1, within.count()));
  return code == NATS_OK ? absl::OkStatus() : Failure(code);
}

}  // namespace mayfly::gateway
