// The log: one event, one line, on standard error.
//
// A line is logfmt or JSON:
//   time=2026-01-01T00:00:00.000Z level=info component=gateway msg="route added" function=photos/thumbnail
//   {"time":"…","level":"info","component":"gateway","msg":"route added","function":"photos/thumbnail"}
// Keys are snake_case nouns; values are quoted and escaped where they need it, so that no input can forge a
// line.
//
// Thread-safe. Init() is called once by main; before it, lines go out as logfmt at level info.
#pragma once

#include <fmt/format.h>

#include <initializer_list>
#include <map>
#include <string>
#include <string_view>

namespace mayfly::base::log {

enum class Level { kDebug, kInfo, kWarn, kError };
enum class Format { kLogfmt, kJson };

// The names that command lines take for them.
const std::map<std::string, Level>& LevelNames();
const std::map<std::string, Format>& FormatNames();

struct Field {
  template <typename T>
  Field(std::string_view field_key, const T& field_value)
      : key(field_key), value(fmt::format("{}", field_value)) {}

  std::string_view key;
  std::string value;
};

// `component` names the process in every line: operator, gateway, runtime, worker, mayfly.
void Init(std::string component, Level level, Format format);

// Whether a line of `level` would be written: ask before building expensive fields.
bool Enabled(Level level);

void Write(Level level, std::string_view message, std::initializer_list<Field> fields);

inline void Debug(std::string_view message, std::initializer_list<Field> fields = {}) {
  if (Enabled(Level::kDebug)) Write(Level::kDebug, message, fields);
}
inline void Info(std::string_view message, std::initializer_list<Field> fields = {}) {
  Write(Level::kInfo, message, fields);
}
inline void Warn(std::string_view message, std::initializer_list<Field> fields = {}) {
  Write(Level::kWarn, message, fields);
}
inline void Error(std::string_view message, std::initializer_list<Field> fields = {}) {
  Write(Level::kError, message, fields);
}

// The line that Write() would write, without its newline. For tests and for sinks of one's own.
std::string FormatLine(Format format, std::string_view time, Level level, std::string_view component,
                       std::string_view message, std::initializer_list<Field> fields);

}  // namespace mayfly::base::log
