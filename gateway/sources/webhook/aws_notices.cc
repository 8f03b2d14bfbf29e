#include "gateway/sources/webhook/aws_notices.h"

#include <fmt/format.h>

#include "base/digest.h"
#include "base/utf8.h"
#include "gateway/sources/bounded_json.h"
#include "gateway/sources/webhook/service_notices.h"

namespace mayfly::gateway {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostAttribute = 1'024;
constexpr std::size_t kMostRecords = 1'000;
constexpr std::size_t kIdDigits = 32;

absl::Status Bad(std::string message) { return absl::InvalidArgumentError(std::move(message)); }

std::string Attribute(std::string_view text) {
  return std::string(base::CutUtf8(base::CleanUtf8(text), kMostAttribute));
}

absl::StatusOr<CloudEvent> ReadRecord(const Json& record) {
  const std::string bucket = JsonText(record, {"s3", "bucket", "name"});
  const std::string key = JsonText(record, {"s3", "object", "key"});
  std::string name = JsonText(record, {"eventName"});
  if (bucket.empty() || key.empty() || name.empty())
    return Bad("has no eventName, s3.bucket.name and s3.object.key");
  if (name.starts_with("s3:")) name.erase(0, 3);
  const std::string version = JsonText(record, {"s3", "object", "versionId"});
  const std::string etag = JsonText(record, {"s3", "object", "eTag"});
  const std::string sequencer = JsonText(record, {"s3", "object", "sequencer"});
  CloudEvent event;
  v1::Event& to = event.event;
  // Sizes keep the parts apart.
  std::string identity;
  for (const std::string& part : {bucket, key, version.empty() ? etag : version, sequencer, name})
    identity += fmt::format("{}:{}", part.size(), part);
  // Only a removed object has nothing that tells one event from the next, where the server gives no sequencer.
  if (sequencer.empty()) identity += JsonText(record, {"eventTime"});
  to.set_id(base::Sha256Hex(identity).substr(0, kIdDigits));
  std::string source = JsonText(record, {"eventSource"});
  if (source.empty()) source = "aws:s3";
  const std::string region = JsonText(record, {"awsRegion"});
  to.set_source(Attribute(fmt::format("{}{}{}.{}", source, region.empty() ? "" : ".", region, bucket)));
  to.set_type(Attribute("com.amazonaws.s3." + name));
  to.set_subject(Attribute(DecodeS3Key(key)));
  if (const std::string time = JsonText(record, {"eventTime"}); IsRfc3339(time)) to.set_time(time);
  to.set_data_content_type("application/json");
  event.data = record.dump(-1, ' ', false, Json::error_handler_t::replace);
  return event;
}

}  // namespace

std::string DecodeS3Key(std::string_view key) { return FormValue(fmt::format("key={}", key), "key"); }

absl::StatusOr<Notices> ReadS3(std::string_view body) {
  const absl::StatusOr<Json> json = ParseBoundedJson(body);
  if (!json.ok()) return json.status();
  Notices notices;
  if (JsonText(*json, {"Event"}) == "s3:TestEvent") return notices;
  if (!json->is_object() || !json->contains("Records") || !(*json)["Records"].is_array())
    return Bad("the body has no list Records, as a notice of a bucket has");
  const Json& records = (*json)["Records"];
  if (records.size() > kMostRecords) return Bad(fmt::format("there are more than {} records", kMostRecords));
  for (std::size_t i = 0; i < records.size(); ++i) {
    absl::StatusOr<CloudEvent> event = ReadRecord(records[i]);
    if (!event.ok()) return base::WithContext(event.status(), fmt::format("Records[{}]", i));
    notices.events.push_back(*std::move(event));
  }
  return notices;
}

absl::StatusOr<Notices> ReadEventBridge(std::string_view body) {
  const absl::StatusOr<Json> json = ParseBoundedJson(body);
  if (!json.ok()) return json.status();
  const std::string id = Attribute(JsonText(*json, {"id"}));
  const std::string source = Attribute(JsonText(*json, {"source"}));
  const std::string type = Attribute(JsonText(*json, {"detail-type"}));
  if (id.empty() || source.empty() || type.empty())
    return Bad("the body has no id, source and detail-type, as an event of EventBridge has");
  CloudEvent event;
  v1::Event& to = event.event;
  to.set_id(id);
  to.set_source(source);
  to.set_type("com.amazonaws.events." + type);
  if (const std::string time = JsonText(*json, {"time"}); IsRfc3339(time)) to.set_time(time);
  if (const auto found = json->find("resources");
      found != json->end() && found->is_array() && !found->empty() && found->front().is_string()) {
    to.set_subject(Attribute(found->front().get<std::string>()));
  }
  to.set_data_content_type("application/json");
  event.data.assign(body);
  Notices notices;
  notices.events.push_back(std::move(event));
  return notices;
}

}  // namespace mayfly::gateway
