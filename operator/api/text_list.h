// Lists of texts in a manifest: servers, subjects, topics.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "operator/api/field_reader.h"

namespace mayfly::op {

// The items of a list of texts that differ. `check` says what is wrong with one: "" if nothing is.
std::vector<std::string> ReadTextList(FieldReader& reader, std::string_view name, std::size_t most,
                                      MistakeList& mistakes, std::string (*check)(std::string_view));

// The same of a list that must be there, with an item at least; else `missing` is the mistake.
std::vector<std::string> ReadNeededTextList(FieldReader& reader, std::string_view name, std::size_t most,
                                            MistakeList& mistakes, std::string (*check)(std::string_view),
                                            const std::string& missing);

}  // namespace mayfly::op
