// A FieldReader reads the fields of one mapping, and notes what is wrong with them.
//
// Each field is asked for by name once; what was asked for is what the mapping may hold, and Finish() refuses
// the rest, with the nearest known name. A field that is absent or null leaves its target as it was: the
// default.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "operator/api/manifest.h"
#include "operator/api/yaml_document.h"

namespace mayfly::op {

// What becomes of a field that nobody knows. A person may have mistyped it. In an object of the API server, which
// has refused those, it is a field of a newer version, whose default is filled in already: an upgrade must not make
// every function of a cluster wrong.
enum class UnknownFields { kRefuse, kIgnore };

// The fields that readers asked for, by the path of their mapping: a test holds the CRD to them.
struct KnownFields {
  std::map<std::string, std::set<std::string>> served;
  std::map<std::string, std::set<std::string>> refused;  // see FieldReader::Refuse()
};

// Collects the mistakes of one document. Past kMaxMistakes, the rest is only counted.
class MistakeList {
 public:
  explicit MistakeList(std::string file, UnknownFields unknown = UnknownFields::kRefuse)
      : file_(std::move(file)), unknown_(unknown) {}

  UnknownFields unknown_fields() const { return unknown_; }
  // Notes into `known`, which must outlive the list, what is read from here on.
  void Observe(KnownFields* known) { known_ = known; }
  KnownFields* observer() const { return known_; }

  void Add(const YamlNode& where, std::string field, std::string sentence);
  bool empty() const { return mistakes_.empty(); }
  bool full() const { return mistakes_.size() >= kMaxMistakes; }
  std::vector<Mistake> Take();

 private:
  static constexpr std::size_t kMaxMistakes = 100;

  std::string file_;
  UnknownFields unknown_;
  KnownFields* known_ = nullptr;
  std::vector<Mistake> mistakes_;
  std::size_t left_out_ = 0;
};

template <typename T>
struct Bounds {
  T least;
  T most;
};

class FieldReader {
 public:
  // A `node` that is no mapping is a mistake, and has no fields. `node` and `mistakes` must outlive the
  // reader.
  FieldReader(const YamlNode& node, std::string path, MistakeList& mistakes);

  // The field's value, or null if it is absent or null.
  const YamlNode* Find(std::string_view name);

  // Each is true if the field is there and right, and is then written to `value`.
  bool Text(std::string_view name, std::string& value);
  bool Integer(std::string_view name, Bounds<std::int32_t> bounds, std::int32_t& value);
  bool Duration(std::string_view name, Bounds<std::chrono::milliseconds> bounds,
                std::chrono::milliseconds& value);
  bool Quantity(std::string_view name, Bounds<std::uint64_t> bounds, std::uint64_t& value);

  // The field's items, if it is a list of at most `most`; an absent one has none.
  const std::vector<YamlNode>& List(std::string_view name, std::size_t most, std::string_view item = "item");

  // Known, and of no meaning here.
  void Ignore(std::string_view name) { Find(name); }
  // Known, and refused with `sentence` if it is there; true if so.
  bool Refuse(std::string_view name, const std::string& sentence);

  // Notes a mistake of the field `name`, or of the mapping itself if it is absent or `name` is "".
  void Wrong(std::string_view name, std::string sentence);

  std::string PathOf(std::string_view name) const;
  const std::string& path() const { return path_; }
  const YamlNode& node() const { return node_; }
  bool is_map() const { return node_.kind == YamlNode::Kind::kMap; }

  // Refuses every field that was not asked for.
  void Finish();

 private:
  const YamlNode& node_;
  std::string path_;
  MistakeList& mistakes_;
  std::vector<std::string> known_;
  std::vector<std::string> refused_;
};

// The text of a scalar, if it is one; else the mistake at `path` says what was found instead.
bool ReadText(const YamlNode& node, const std::string& path, MistakeList& mistakes, std::string& value);

// "a mapping", "a list", "a number" …
std::string Describe(const YamlNode& node);

// `text` in quotes, cut to a length that a sentence bears, control characters escaped.
std::string Quote(std::string_view text);

// `name` as part of a field's path: as it is if that is safe to print, else Quote()d.
std::string FieldName(std::string_view name);

// The one of `known` that `word` was probably meant to be; "" if none is near.
std::string NearestOf(std::string_view word, const std::vector<std::string>& known);

}  // namespace mayfly::op
