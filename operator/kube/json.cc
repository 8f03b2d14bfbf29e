#include "operator/kube/json.h"

#include <simdjson.h>

#include <bit>
#include <type_traits>

#include "absl/strings/str_cat.h"

namespace mayfly::kube {
namespace {

using Element = simdjson::dom::element;
using Place = std::array<std::uint64_t, 2>;

static_assert(sizeof(Element) == sizeof(Place) && std::is_trivially_copyable_v<Element>);

Element ElementAt(const Place& place) { return std::bit_cast<Element>(place); }

// A parser that read a list of megabytes keeps several times as much; one that reads watch lines needs little.
constexpr std::size_t kLargeParser = 1u << 20;
constexpr std::size_t kSmallText = 128u << 10;

}  // namespace

bool JsonView::exists() const { return valid_ && !ElementAt(place_).is_null(); }

bool JsonView::is_object() const { return valid_ && ElementAt(place_).is_object(); }

bool JsonView::is_array() const { return valid_ && ElementAt(place_).is_array(); }

JsonView JsonView::operator[](std::string_view key) const {
  JsonView found;
  simdjson::dom::object object;
  Element value;
  if (!valid_ || ElementAt(place_).get(object) != simdjson::SUCCESS ||
      object.at_key(key).get(value) != simdjson::SUCCESS) {
    return found;
  }
  found.place_ = std::bit_cast<Place>(value);
  found.valid_ = true;
  return found;
}

std::string_view JsonView::Text(std::string_view otherwise) const {
  std::string_view text;
  return valid_ && ElementAt(place_).get(text) == simdjson::SUCCESS ? text : otherwise;
}

std::int64_t JsonView::Integer(std::int64_t otherwise) const {
  std::int64_t number = 0;
  return valid_ && ElementAt(place_).get(number) == simdjson::SUCCESS ? number : otherwise;
}

bool JsonView::Bool(bool otherwise) const {
  bool value = false;
  return valid_ && ElementAt(place_).get(value) == simdjson::SUCCESS ? value : otherwise;
}

void JsonView::ForEachItem(absl::FunctionRef<void(JsonView item)> visit) const {
  simdjson::dom::array array;
  if (!valid_ || ElementAt(place_).get(array) != simdjson::SUCCESS) return;
  for (const Element item : array) {
    JsonView view;
    view.place_ = std::bit_cast<Place>(item);
    view.valid_ = true;
    visit(view);
  }
}

void JsonView::ForEachField(absl::FunctionRef<void(std::string_view key, JsonView value)> visit) const {
  simdjson::dom::object object;
  if (!valid_ || ElementAt(place_).get(object) != simdjson::SUCCESS) return;
  for (const auto field : object) {
    JsonView view;
    view.place_ = std::bit_cast<Place>(field.value);
    view.valid_ = true;
    visit(field.key, view);
  }
}

std::string JsonView::ToJson() const {
  return valid_ ? simdjson::minify(ElementAt(place_)) : std::string("null");
}

struct JsonDocument::Parser {
  simdjson::dom::parser parser;
};

JsonDocument::JsonDocument() = default;
JsonDocument::JsonDocument(JsonDocument&&) noexcept = default;
JsonDocument& JsonDocument::operator=(JsonDocument&&) noexcept = default;
JsonDocument::~JsonDocument() = default;

absl::Status JsonDocument::Parse(std::string_view text) {
  root_ = JsonView();
  if (!parser_ || (text.size() < kSmallText && parser_->parser.capacity() > kLargeParser)) {
    parser_ = std::make_unique<Parser>();
  }
  Element root;
  // The parser copies the text, since it reads some bytes past its end.
  const simdjson::error_code error = parser_->parser.parse(text.data(), text.size(), true).get(root);
  if (error != simdjson::SUCCESS) {
    return absl::InvalidArgumentError(
        absl::StrCat("no JSON that can be read: ", simdjson::error_message(error)));
  }
  root_.place_ = std::bit_cast<Place>(root);
  root_.valid_ = true;
  return absl::OkStatus();
}

}  // namespace mayfly::kube
