#include "operator/api/credentials.h"

#include <fmt/format.h>

#include "operator/api/names.h"

namespace mayfly::op {

std::string ReadCredentials(FieldReader& kind, MistakeList& mistakes) {
  const YamlNode* const node = kind.Find("credentials");
  if (node == nullptr) return "";
  FieldReader credentials(*node, kind.PathOf("credentials"), mistakes);
  std::string name;
  if (credentials.Text("secretName", name)) {
    const std::string wrong = CheckSubdomain(name);
    if (!wrong.empty()) credentials.Wrong("secretName", wrong);
  } else if (credentials.is_map() && credentials.Find("secretName") == nullptr) {
    credentials.Wrong("secretName",
                      "is missing; name a Secret of the function's namespace, as in credentials: "
                      "{secretName: orders-login}");
  }
  credentials.Finish();
  return name;
}

}  // namespace mayfly::op
