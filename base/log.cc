#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>

#include "base/log_sink.h"
#include "base/utf8.h"

namespace mayfly::base::log {
namespace {

struct State {
  std::string component = "mayfly";
  Format format = Format::kLogfmt;
  std::atomic<Level> level{Level::kInfo};
};

State& TheState() {
  static auto* state = new State;  // never destroyed: threads may log while the process exits
  return *state;
}

std::string_view Name(Level level) {
  for (const auto& [name, named] : LevelNames()) {
    if (named == level) return name;
  }
  return "info";
}

// Whether a control character of U+0080 to U+009F, which terminals obey, is at `at`.
bool IsC1(std::string_view text, std::size_t at) {
  return text[at] == '\xc2' && at + 1 < text.size() && static_cast<unsigned char>(text[at + 1]) < 0xa0;
}

// Escapes for a double-quoted string, in JSON's way, which logfmt readers understand too. `text` is UTF-8.
void AppendEscaped(std::string& out, std::string_view text) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (IsC1(text, at)) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(text[++at])));
      continue;
    }
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
        } else {
          out += c;
        }
    }
  }
}

bool NeedsQuotes(std::string_view text) {
  if (text.empty()) return true;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (IsC1(text, at)) return true;
    if (static_cast<unsigned char>(c) <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) return true;
  }
  return false;
}

void AppendQuoted(std::string& out, std::string_view text) {
  out += '"';
  AppendEscaped(out, text);
  out += '"';
}

void AppendPair(std::string& out, Format format, std::string_view key, std::string_view value) {
  std::string clean;
  if (!IsUtf8(value)) value = clean = CleanUtf8(value);
  if (format == Format::kJson) {
    out += out.empty() ? '{' : ',';
    AppendQuoted(out, key);
    out += ':';
    AppendQuoted(out, value);
    return;
  }
  if (!out.empty()) out += ' ';
  out += key;
  out += '=';
  if (NeedsQuotes(value)) {
    AppendQuoted(out, value);
  } else {
    out += value;
  }
}

std::string TimeNow() {
  const auto now = std::chrono::system_clock::now();
  const auto since = now.time_since_epoch();
  const std::time_t seconds = std::chrono::duration_cast<std::chrono::seconds>(since).count();
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(since).count() % 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1,
                     utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, millis);
}

}  // namespace

const std::map<std::string, Level>& LevelNames() {
  static const auto* const names = new std::map<std::string, Level>{
      {"debug", Level::kDebug}, {"info", Level::kInfo}, {"warn", Level::kWarn}, {"error", Level::kError}};
  return *names;
}

const std::map<std::string, Format>& FormatNames() {
  static const auto* const names =
      new std::map<std::string, Format>{{"logfmt", Format::kLogfmt}, {"json", Format::kJson}};
  return *names;
}

void Init(std::string component, Level level, Format format) {
  State& state = TheState();
  state.component = std::move(component);
  state.format = format;
  state.level = level;
  Sink();  // its descriptor is there from the start, and not from whatever line is the first
}

LineSink& Sink() {
  static LineSink* const sink = [] {
    auto* const made = new LineSink(STDERR_FILENO, [](std::uint64_t dropped) {
      const State& state = TheState();
      return FormatLine(state.format, TimeNow(), Level::kWarn, state.component,
                        "lines were dropped here, as standard error was not read in time",
                        {{"lines", dropped}});
    });
    std::atexit([] { Sink().End(); });
    return made;
  }();
  return *sink;
}

bool Enabled(Level level) { return level >= TheState().level.load(std::memory_order_relaxed); }

void Write(Level level, std::string_view message, std::initializer_list<Field> fields) {
  if (!Enabled(level)) return;
  const State& state = TheState();
  Sink().Write(FormatLine(state.format, TimeNow(), level, state.component, message, fields));
}

std::string FormatLine(Format format, std::string_view time, Level level, std::string_view component,
                       std::string_view message, std::initializer_list<Field> fields) {
  std::string out;
  AppendPair(out, format, "time", time);
  AppendPair(out, format, "level", Name(level));
  AppendPair(out, format, "component", component);
  AppendPair(out, format, "msg", message);
  for (const Field& field : fields) AppendPair(out, format, field.key, field.value);
  if (format == Format::kJson) out += '}';
  return out;
}

}  // namespace mayfly::base::log
