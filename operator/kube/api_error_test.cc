#include "operator/kube/api_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mayfly::kube {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string StatusBody(int code, const std::string& reason) {
  return R"({"kind":"Status","apiVersion":"v1","status":"Failure","message":"why","reason":")" + reason +
         R"(","code":)" + std::to_string(code) + "}";
}

TEST(ApiError, GivesEachReasonTheCodeThatSaysWhatACallerMayDo) {
  const std::vector<std::tuple<int, std::string, absl::StatusCode>> rows = {
      {400, "BadRequest", absl::StatusCode::kInvalidArgument},
      {401, "Unauthorized", absl::StatusCode::kUnauthenticated},
      {403, "Forbidden", absl::StatusCode::kPermissionDenied},
      {404, "NotFound", absl::StatusCode::kNotFound},
      {405, "MethodNotAllowed", absl::StatusCode::kUnimplemented},
      {409, "Conflict", absl::StatusCode::kAborted},
      {409, "AlreadyExists", absl::StatusCode::kAlreadyExists},
      {410, "Expired", absl::StatusCode::kOutOfRange},
      {410, "Gone", absl::StatusCode::kOutOfRange},
      {413, "RequestEntityTooLarge", absl::StatusCode::kInvalidArgument},
      {422, "Invalid", absl::StatusCode::kInvalidArgument},
      {429, "TooManyRequests", absl::StatusCode::kResourceExhausted},
      {500, "InternalError", absl::StatusCode::kUnavailable},
      {500, "ServerTimeout", absl::StatusCode::kUnavailable},
      {502, "", absl::StatusCode::kUnavailable},
      {503, "ServiceUnavailable", absl::StatusCode::kUnavailable},
      {504, "Timeout", absl::StatusCode::kDeadlineExceeded},
  };
  for (const auto& [code, reason, expected] : rows) {
    EXPECT_EQ(StatusFromAnswer(code, StatusBody(code, reason), {}).code(), expected) << code << " " << reason;
  }
}

TEST(ApiError, KeepsTheCausesByFieldThroughAddedContext) {
  const std::string body =
      R"({"kind":"Status","message":"Function \"x\" is invalid","reason":"Invalid","code":422,"details":{"causes":[
        {"reason":"FieldValueInvalid","message":"must be 1 or more","field":"spec.concurrency"},
        {"reason":"FieldValueRequired","message":"Required value","field":"spec.artifact"}]}})";
  const absl::Status status = base::WithContext(StatusFromAnswer(422, body, {}), "create functions photos");
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("create functions photos: Invalid: Function \"x\" is invalid (HTTP 422)"));
  const auto error = ApiErrorOf(status);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->reason, "Invalid");
  EXPECT_THAT(error->causes,
              ElementsAre(ApiError::Cause{"FieldValueInvalid", "must be 1 or more", "spec.concurrency"},
                          ApiError::Cause{"FieldValueRequired", "Required value", "spec.artifact"}));
}

TEST(ApiError, ReadsWhenToComeBackFromTheHeaderOrTheDetails) {
  EXPECT_EQ(ApiErrorOf(StatusFromAnswer(429, "", std::chrono::seconds(3)))->retry_after,
            std::chrono::seconds(3));
  const std::string body = R"({"kind":"Status","code":503,"details":{"retryAfterSeconds":7}})";
  EXPECT_EQ(ApiErrorOf(StatusFromAnswer(503, body, {}))->retry_after, std::chrono::seconds(7));
}

TEST(ApiError, QuotesAForeignAnswerOnOneShortLine) {
  const absl::Status status =
      StatusFromAnswer(502, "<html>\r\n" + std::string(5000, 'x') + "\x1b[31m", std::nullopt);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_LT(status.message().size(), 300u);
  EXPECT_THAT(std::string(status.message()), ::testing::Not(HasSubstr("\n")));
}

TEST(ApiError, TellsAnExpiredVersionFromEveryOtherError) {
  EXPECT_TRUE(IsExpired(StatusFromAnswer(410, StatusBody(410, "Expired"), {})));
  EXPECT_TRUE(IsExpired(StatusFromAnswer(410, "", {})));
  EXPECT_FALSE(IsExpired(StatusFromAnswer(404, StatusBody(404, "NotFound"), {})));
  EXPECT_FALSE(IsExpired(absl::OutOfRangeError("of something else")));
}

TEST(ApiError, HasNoDetailsOfAnErrorThatTheServerDidNotSend) {
  EXPECT_FALSE(ApiErrorOf(absl::UnavailableError("connection refused")));
  EXPECT_FALSE(ApiErrorOf(absl::OkStatus()));
}

}  // namespace
}  // namespace mayfly::kube
