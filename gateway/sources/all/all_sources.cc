#include "gateway/sources/all/all_sources.h"

#include "gateway/sources/cron/cron_source.h"
#include "gateway/sources/kafka/kafka_source.h"
#include "gateway/sources/nats/nats_source.h"
#include "gateway/sources/postgres/postgres_source.h"
#include "gateway/sources/redis/redis_source.h"
#include "gateway/sources/webhook/webhook_source.h"

namespace mayfly::gateway {

SourceFactories AllSources() {
  SourceFactories all;
  all.push_back(MakeCronFactory());
  all.push_back(MakeKafkaFactory());
  all.push_back(MakeNatsFactory());
  all.push_back(MakePostgresFactory());
  all.push_back(MakeRedisFactory());
  all.push_back(MakeWebhookFactory());
  return all;
}

}  // namespace mayfly::gateway
