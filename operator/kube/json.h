// JSON as the API server sends it, read fast and without exceptions.
//
// A JsonDocument holds one parsed text; a JsonView is a place in it, and is as cheap to copy as a pointer.
// Reading never fails: what is not there, or is of another type, reads as the default that the caller names,
// since the server has validated the object and an old server may lack a field. Only Parse() can fail.
//
// A view is valid until its document is destroyed or parses another text. Not thread-safe while Parse() runs.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "base/status.h"

namespace mayfly::kube {

class JsonView {
 public:
  // A place where nothing is.
  JsonView() = default;

  // Whether there is a value other than null.
  bool exists() const;
  bool is_object() const;
  bool is_array() const;

  // The field `key` of an object; nothing if this is none or has no such field.
  JsonView operator[](std::string_view key) const;

  std::string_view Text(std::string_view otherwise = {}) const;
  std::int64_t Integer(std::int64_t otherwise = 0) const;
  bool Bool(bool otherwise = false) const;

  // Calls `visit` for each item of an array, or each field of an object; not at all for anything else.
  void ForEachItem(absl::FunctionRef<void(JsonView item)> visit) const;
  void ForEachField(absl::FunctionRef<void(std::string_view key, JsonView value)> visit) const;

  // The value as JSON text; "null" for nothing.
  std::string ToJson() const;

 private:
  friend class JsonDocument;

  std::array<std::uint64_t, 2> place_{};  // the parser's own handle, which no header has to know
  bool valid_ = false;
};

class JsonDocument {
 public:
  JsonDocument();
  JsonDocument(JsonDocument&&) noexcept;
  JsonDocument& operator=(JsonDocument&&) noexcept;
  ~JsonDocument();

  // Reads `text`, which need not outlive the call. Memory that a large text took is given back when a small
  // one follows. kInvalidArgument if it is no JSON, with where.
  absl::Status Parse(std::string_view text);

  // What was parsed last; nothing if that failed.
  JsonView root() const { return root_; }

 private:
  struct Parser;

  std::unique_ptr<Parser> parser_;
  JsonView root_;
};

}  // namespace mayfly::kube
