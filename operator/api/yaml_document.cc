#include "operator/api/yaml_document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>
#include <utility>

#include "base/utf8.h"

namespace mayfly::op {
namespace {

// A limit of ours that the text breaks; thrown through the parser, and caught below.
struct Refusal {
  YAML::Mark mark;
  std::string sentence;
};

// Builds trees from the parser's events, and keeps the bounds while it does.
class TreeBuilder : public YAML::EventHandler {
 public:
  std::vector<YamlNode> TakeDocuments() { return std::move(documents_); }

  void OnDocumentStart(const YAML::Mark&) override {
    stack_.clear();
    anchors_.clear();
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Add(Make(mark, YamlNode::Kind::kNull, ""), anchor, mark);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end())
      throw Refusal{mark, "this alias stands inside what it repeats; write it out"};
    Count(found->second, mark);
    Add(YamlNode(found->second), 0, mark);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode node = Make(mark, YamlNode::Kind::kScalar, tag);
    node.scalar = value;
    CountBytes(value.size(), mark);
    // yaml-cpp tags a plain scalar "?" and a quoted one "!".
    node.quoted = tag == "!" || tag == "tag:yaml.org,2002:str";
    Add(std::move(node), anchor, mark);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(mark, YamlNode::Kind::kSequence, tag, anchor);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(mark, YamlNode::Kind::kMap, tag, anchor);
  }
  void OnMapEnd() override { Close(); }

 private:
  struct Frame {
    YamlNode node;
    std::optional<YamlNode> key;
    YAML::anchor_t anchor;
    YAML::Mark mark;
  };

  YamlNode Make(const YAML::Mark& mark, YamlNode::Kind kind, const std::string& tag) {
    CountNode(mark);
    YamlNode node;
    node.kind = kind;
    node.line = mark.line + 1;
    node.column = mark.column + 1;
    if (tag != "?" && tag != "!" && tag != "tag:yaml.org,2002:str") node.tag = tag;
    return node;
  }

  void Open(const YAML::Mark& mark, YamlNode::Kind kind, const std::string& tag, YAML::anchor_t anchor) {
    if (stack_.size() >= kMaxYamlDepth) {
      throw Refusal{mark, "this is nested more than " + std::to_string(kMaxYamlDepth) +
                              " levels deep; make it flatter"};
    }
    stack_.push_back({Make(mark, kind, tag), std::nullopt, anchor, mark});
  }

  void Close() {
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    Add(std::move(frame.node), frame.anchor, frame.mark);
  }

  void Add(YamlNode&& node, YAML::anchor_t anchor, const YAML::Mark& mark) {
    if (anchor != 0) {
      Count(node, mark);
      anchors_[anchor] = node;
    }
    if (stack_.empty()) {
      documents_.push_back(std::move(node));
      return;
    }
    Frame& parent = stack_.back();
    if (parent.node.kind == YamlNode::Kind::kSequence) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.key) {
      parent.key = std::move(node);
    } else {
      parent.node.entries.push_back({std::move(*parent.key), std::move(node)});
      parent.key.reset();
    }
  }

  // Copying `node` costs as much as writing it out would. Its depth counts with that of where it is put.
  void Count(const YamlNode& node, const YAML::Mark& mark) { CountFrom(node, stack_.size(), mark); }

  void CountFrom(const YamlNode& node, std::size_t depth, const YAML::Mark& mark) {
    if (depth > kMaxYamlDepth) {
      throw Refusal{mark, "this alias nests more than " + std::to_string(kMaxYamlDepth) +
                              " levels deep; make it flatter"};
    }
    CountNode(mark);
    CountBytes(node.scalar.size(), mark);
    for (const YamlNode& item : node.items) CountFrom(item, depth + 1, mark);
    for (const YamlEntry& entry : node.entries) {
      CountFrom(entry.key, depth + 1, mark);
      CountFrom(entry.value, depth + 1, mark);
    }
  }
  void CountNode(const YAML::Mark& mark) {
    if (++nodes_ > kMaxYamlNodes) {
      throw Refusal{mark, "the file has more than " + std::to_string(kMaxYamlNodes) +
                              " values with its aliases expanded; split it, or write less by aliases"};
    }
  }
  void CountBytes(std::size_t bytes, const YAML::Mark& mark) {
    scalar_bytes_ += bytes;
    if (scalar_bytes_ > kMaxYamlScalarBytes) {
      throw Refusal{mark,
                    "the file has more than 4 MiB of text with its aliases expanded; write less by aliases"};
    }
  }

  std::vector<YamlNode> documents_;
  std::vector<Frame> stack_;
  std::map<YAML::anchor_t, YamlNode> anchors_;
  std::size_t nodes_ = 0;
  std::size_t scalar_bytes_ = 0;
};

void SetError(YamlDocuments& result, const YAML::Mark& mark, std::string sentence) {
  result.documents.clear();
  result.error = std::move(sentence);
  result.line = mark.is_null() ? 1 : mark.line + 1;
  result.column = mark.is_null() ? 1 : mark.column + 1;
}

}  // namespace

YamlDocuments ParseYaml(std::string_view text) {
  YamlDocuments result;
  if (text.size() > kMaxManifestBytes) {
    result.error = "the file has " + std::to_string(text.size()) + " bytes, more than 1 MiB; split it";
    return result;
  }
  // A NUL is text to UTF-8, and to no editor. npos is larger than any place.
  const std::size_t at = std::min(base::FindInvalidUtf8(text), text.find('\0'));
  if (at != std::string_view::npos) {
    for (const char c : text.substr(0, at)) {
      result.column = c == '\n' ? 1 : result.column + 1;
      result.line += c == '\n' ? 1 : 0;
    }
    result.error = "this byte is not UTF-8 text; save the file as UTF-8";
    return result;
  }
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    TreeBuilder builder;
    while (parser.HandleNextDocument(builder)) {
    }
    result.documents = builder.TakeDocuments();
  } catch (const Refusal& refusal) {
    SetError(result, refusal.mark, refusal.sentence);
  } catch (const YAML::Exception& error) {
    SetError(result, error.mark, "this is not YAML: " + error.msg + "; mend the syntax here or just above");
  } catch (const std::exception& error) {
    SetError(result, YAML::Mark::null_mark(), std::string("this is not YAML: ") + error.what());
  }
  return result;
}

}  // namespace mayfly::op
