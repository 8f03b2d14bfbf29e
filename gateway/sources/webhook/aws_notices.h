// Notices of buckets (S3, and what speaks as it does, such as MinIO) and of EventBridge, as CloudEvents.
//
//   S3            an event for each record: com.amazonaws.s3.ObjectCreated:Put; subject: the key, decoded; the data is the
//                 record. The id is a digest of bucket, key, version or etag, sequencer and name: what S3 sends twice has
//                 it twice, and the records of one request have different ones. s3:TestEvent: none
//   EventBridge   com.amazonaws.events.DETAIL-TYPE; id, source and time are the event's; subject: its first resource
//
// kInvalidArgument: it is not what that service sends. Functions here are pure.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "gateway/sources/webhook/webhook_request.h"

namespace mayfly::gateway {

absl::StatusOr<Notices> ReadS3(std::string_view body);
absl::StatusOr<Notices> ReadEventBridge(std::string_view body);

// "hello+world%21" as "hello world!".
std::string DecodeS3Key(std::string_view key);

}  // namespace mayfly::gateway
