#include "operator/api/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/yaml_document.h"

namespace mayfly::op {
namespace {

struct Read {
  std::string name;
  std::vector<std::string> mistakes;
};

Read ReadText(const std::string& kind) {
  const YamlDocuments yaml = ParseYaml(kind);
  MistakeList mistakes("f");
  Read read;
  {
    FieldReader reader(yaml.documents.at(0), "nats", mistakes);
    read.name = ReadCredentials(reader, mistakes);
    reader.Finish();
  }
  for (const Mistake& mistake : mistakes.Take()) read.mistakes.push_back(mistake.ToString());
  return read;
}

TEST(Credentials, AreTheNameOfASecret) {
  const Read read = ReadText("credentials: {secretName: orders-login}");
  EXPECT_EQ(read.name, "orders-login");
  EXPECT_THAT(read.mistakes, testing::IsEmpty());
  EXPECT_EQ(ReadText("{}").name, "");
}

TEST(Credentials, ThatAreWrongAreRefusedWithASentence) {
  EXPECT_THAT(
      ReadText("credentials: {}").mistakes,
      testing::ElementsAre("f:1:14: nats.credentials.secretName: is missing; name a Secret of the function's "
                           "namespace, as in credentials: {secretName: orders-login}"));
  EXPECT_THAT(ReadText("credentials: {secretName: Orders}").mistakes,
              testing::ElementsAre(testing::HasSubstr("nats.credentials.secretName")));
  EXPECT_THAT(ReadText("credentials: {secretName: a, password: b}").mistakes,
              testing::ElementsAre(testing::HasSubstr("password")));
}

}  // namespace
}  // namespace mayfly::op
