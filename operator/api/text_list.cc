#include "operator/api/text_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace mayfly::op {

std::vector<std::string> ReadTextList(FieldReader& reader, std::string_view name, std::size_t most,
                                      MistakeList& mistakes, std::string (*check)(std::string_view)) {
  std::vector<std::string> texts;
  const std::vector<YamlNode>& items = reader.List(name, most);
  for (std::size_t n = 0; n < items.size(); n++) {
    const std::string path = fmt::format("{}[{}]", reader.PathOf(name), n);
    std::string text;
    if (!ReadText(items[n], path, mistakes, text)) continue;
    const std::string wrong = check(text);
    if (!wrong.empty()) {
      mistakes.Add(items[n], path, wrong);
    } else if (std::find(texts.begin(), texts.end(), text) != texts.end()) {
      mistakes.Add(items[n], path, fmt::format("{} is listed twice; keep one", Quote(text)));
    } else {
      texts.push_back(std::move(text));
    }
  }
  return texts;
}

std::vector<std::string> ReadNeededTextList(FieldReader& reader, std::string_view name, std::size_t most,
                                            MistakeList& mistakes, std::string (*check)(std::string_view),
                                            const std::string& missing) {
  std::vector<std::string> texts = ReadTextList(reader, name, most, mistakes, check);
  const YamlNode* const list = reader.Find(name);
  if (reader.is_map() &&
      (list == nullptr || (list->kind == YamlNode::Kind::kSequence && list->items.empty())))
    reader.Wrong(name, missing);
  return texts;
}

}  // namespace mayfly::op
