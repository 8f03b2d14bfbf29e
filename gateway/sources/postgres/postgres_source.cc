#include "gateway/sources/postgres/postgres_source.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <utility>

#include "base/stable_hash.h"
#include "gateway/sources/credentials.h"
#include "gateway/sources/postgres/pg_reader.h"

namespace mayfly::gateway {
namespace {

class PostgresSource final : public EventSource {
 public:
  PostgresSource(PostgresSettings settings, std::shared_ptr<PgMemory> memory, const base::Clock& clock)
      : reader_(std::move(settings), std::move(memory), clock) {}

  // Another gateway gets what is not settled once this one's connection is gone, or it has ended that by its epoch.
  SourceTraits traits() const override {
    return {.durable = true, .lease = std::chrono::milliseconds(0), .fenced = true};
  }
  absl::Status Start(EventSink& sink) override {
    reader_.Start(sink);
    return absl::OkStatus();
  }
  void Grant(std::size_t credits) override { reader_.Grant(credits); }
  void Settle(const std::vector<Settlement>& settlements) override { reader_.Settle(settlements); }
  void Extend(const std::vector<EventToken>&) override {}
  void Discard() override { reader_.Discard(); }
  void Quiesce() override { reader_.Quiesce(); }
  void Stop(std::chrono::steady_clock::time_point deadline) override { reader_.Stop(deadline); }

 private:
  PgReader reader_;
};

// Names of slots are lower-case letters, digits and "_", 63 at most; the number keeps those apart that look alike then.
std::string NameOf(const TriggerKey& key) {
  constexpr std::size_t kReadable = 44;
  const std::string whole = key.function + "/" + key.trigger;
  std::string name = "mayfly_";
  for (const char c : whole.substr(0, kReadable))
    name += (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '_';
  return fmt::format("{}_{:08x}", name, static_cast<std::uint32_t>(base::StableHash(whole)));
}

std::string_view SslMode(v1::PostgresTrigger::SslMode mode, bool has_ca) {
  switch (mode) {
    case v1::PostgresTrigger::SSL_DISABLE:
      return "disable";
    case v1::PostgresTrigger::SSL_PREFER:
      return "prefer";
    case v1::PostgresTrigger::SSL_REQUIRE:
      return "require";
    case v1::PostgresTrigger::SSL_VERIFY_CA:
      return "verify-ca";
    case v1::PostgresTrigger::SSL_VERIFY_FULL:
      return "verify-full";
    default:
      return has_ca ? "verify-full" : "prefer";
  }
}

class PostgresFactory final : public SourceFactory {
 public:
  v1::EventTrigger::SourceCase kind() const override { return v1::EventTrigger::kPostgres; }
  bool exclusive() const override { return true; }

  absl::StatusOr<std::unique_ptr<EventSource>> Make(const v1::EventTrigger& trigger,
                                                    const SourceContext& context) override {
    const absl::StatusOr<Credentials> credentials =
        Credentials::Of(trigger, {kUsername, kPassword, kCa, kCertificate, kKey});
    if (!credentials.ok()) return credentials.status();
    const v1::PostgresTrigger& postgres = trigger.postgres();
    PostgresSettings settings;
    PgConnectionSettings& connection = settings.connection;
    connection.host = postgres.host();
    connection.port = postgres.port() == 0 ? 5432 : static_cast<int>(postgres.port());
    connection.database = postgres.database();
    connection.user = credentials->Has(kUsername) ? credentials->Get(kUsername) : "mayfly";
    connection.password = credentials->Get(kPassword);
    connection.ca = credentials->Get(kCa);
    connection.certificate = credentials->Get(kCertificate);
    connection.key = credentials->Get(kKey);
    connection.ssl_mode = SslMode(postgres.ssl_mode(), credentials->Has(kCa));
    std::uint64_t instance = 0;
    if (::getrandom(&instance, sizeof instance, 0) != sizeof instance)
      instance = reinterpret_cast<std::uintptr_t>(&settings);
    connection.application = fmt::format("mayfly-{}-{:016x}", context.epoch, instance);
    settings.epoch = context.epoch;
    for (const v1::PostgresTrigger::Table& table : postgres.tables()) {
      PgTableSettings& added = settings.tables.emplace_back();
      const std::size_t dot = table.name().find('.');
      if (dot != std::string::npos) added.schema = table.name().substr(0, dot);
      added.name = dot == std::string::npos ? table.name() : table.name().substr(dot + 1);
      added.columns.assign(table.columns().begin(), table.columns().end());
    }
    if (postgres.operations_size() > 0) {
      settings.inserts = settings.updates = settings.deletes = settings.truncates = false;
      for (const int operation : postgres.operations()) {
        settings.inserts = settings.inserts || operation == v1::PostgresTrigger::INSERT;
        settings.updates = settings.updates || operation == v1::PostgresTrigger::UPDATE;
        settings.deletes = settings.deletes || operation == v1::PostgresTrigger::DELETE;
        settings.truncates = settings.truncates || operation == v1::PostgresTrigger::TRUNCATE;
      }
    }
    const std::string name = NameOf(context.key);
    settings.own_publication = postgres.publication().empty();
    settings.publication = settings.own_publication ? name : postgres.publication();
    settings.own_slot = postgres.slot().empty();
    settings.slot = settings.own_slot ? name : postgres.slot();
    settings.snapshot = postgres.initial_snapshot();
    settings.keep_slot = postgres.keep_slot();
    settings.heartbeat = std::chrono::milliseconds(postgres.heartbeat_ms());
    settings.most_lag_bytes = postgres.max_lag_bytes();
    return std::make_unique<PostgresSource>(std::move(settings), memory_, *context.clock);
  }

 private:
  const std::shared_ptr<PgMemory> memory_ = std::make_shared<PgMemory>();
};

}  // namespace

std::unique_ptr<SourceFactory> MakePostgresFactory() { return std::make_unique<PostgresFactory>(); }

}  // namespace mayfly::gateway
