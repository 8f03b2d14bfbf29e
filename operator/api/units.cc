#include "operator/api/units.h"

#include <fmt/format.h>

#include <array>
#include <optional>

namespace mayfly::op {
namespace {

// A decimal number as units and billionths, so that no rounding hides a wrong value.
struct Decimal {
  std::uint64_t whole = 0;
  std::uint64_t billionths = 0;
};

// Takes a number off the front of `text`. Empty if there is none, or it has more than 9 digits after its
// point or more than 18 before.
std::optional<Decimal> TakeDecimal(std::string_view& text) {
  Decimal result;
  std::size_t at = 0;
  std::size_t digits = 0;
  const auto is_digit = [&] { return at < text.size() && text[at] >= '0' && text[at] <= '9'; };
  for (; is_digit(); at++, digits++) {
    if (digits == 18) return std::nullopt;
    result.whole = result.whole * 10 + static_cast<std::uint64_t>(text[at] - '0');
  }
  if (at < text.size() && text[at] == '.') {
    at++;
    std::uint64_t place = 100'000'000;
    for (; is_digit(); at++, digits++) {
      if (place == 0) return std::nullopt;
      result.billionths += static_cast<std::uint64_t>(text[at] - '0') * place;
      place /= 10;
    }
  }
  if (digits == 0) return std::nullopt;
  text.remove_prefix(at);
  return result;
}

__extension__ typedef unsigned __int128 Wide;

// number × scale, if it is a whole number of at most `limit`.
std::optional<std::uint64_t> Scale(const Decimal& number, std::uint64_t scale, std::uint64_t limit) {
  const auto total =
      static_cast<Wide>(number.whole) * scale * 1'000'000'000u + static_cast<Wide>(number.billionths) * scale;
  if (total % 1'000'000'000u != 0 || total / 1'000'000'000u > limit) return std::nullopt;
  return static_cast<std::uint64_t>(total / 1'000'000'000u);
}

struct Unit {
  std::string_view name;
  std::uint64_t scale;
};

constexpr std::array<Unit, 4> kDurationUnits = {{{"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}}};
constexpr std::uint64_t kMaxDuration = 100ull * 365 * 24 * 3'600'000;

constexpr std::array<Unit, 13> kByteUnits = {{{"Ei", 1ull << 60},
                                              {"E", 1'000'000'000'000'000'000ull},
                                              {"Pi", 1ull << 50},
                                              {"P", 1'000'000'000'000'000ull},
                                              {"Ti", 1ull << 40},
                                              {"T", 1'000'000'000'000ull},
                                              {"Gi", 1ull << 30},
                                              {"G", 1'000'000'000ull},
                                              {"Mi", 1ull << 20},
                                              {"M", 1'000'000ull},
                                              {"Ki", 1ull << 10},
                                              {"k", 1'000ull},
                                              {"", 1}}};

absl::Status Bad(std::string sentence) { return absl::InvalidArgumentError(std::move(sentence)); }

}  // namespace

absl::StatusOr<std::chrono::milliseconds> ParseDuration(std::string_view text) {
  if (text == "0") return std::chrono::milliseconds(0);
  if (text.empty()) return Bad("\"\" is not a duration; write one like 30s, 5m, 1h30m or 250ms");
  if (text[0] == '-') return Bad(fmt::format("\"{}\" is negative; a duration is 0s or more", text));
  std::uint64_t total = 0;
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto number = TakeDecimal(rest);
    if (!number)
      return Bad(fmt::format("\"{}\" is not a duration; write one like 30s, 5m, 1h30m or 250ms", text));
    const std::size_t size = std::min(rest.find_first_of("0123456789."), rest.size());
    const std::string_view name = rest.substr(0, size);
    if (name.empty())
      return Bad(fmt::format("\"{0}\" has no unit; write {0}s for seconds, or use ms, m or h", text));
    const Unit* unit = nullptr;
    for (const Unit& candidate : kDurationUnits) {
      if (candidate.name == name) unit = &candidate;
    }
    if (unit == nullptr)
      return Bad(fmt::format("\"{}\" has the unknown unit \"{}\"; use h, m, s or ms", text, name));
    rest.remove_prefix(size);
    const auto part = Scale(*number, unit->scale, kMaxDuration);
    if (!part || total + *part > kMaxDuration) {
      return Bad(fmt::format("\"{}\" is finer than a millisecond or longer than 100 years", text));
    }
    total += *part;
  }
  return std::chrono::milliseconds(total);
}

absl::StatusOr<std::uint64_t> ParseQuantity(std::string_view text) {
  std::string_view rest = text;
  if (!text.empty() && text[0] == '-')
    return Bad(fmt::format("\"{}\" is negative; a size is 0 or more", text));
  const auto number = TakeDecimal(rest);
  if (!number) return Bad(fmt::format("\"{}\" is not a size; write one like 64Mi, 1Gi or 500k", text));
  for (const Unit& unit : kByteUnits) {
    if (rest != unit.name) continue;
    const auto bytes = Scale(*number, unit.scale, INT64_MAX);
    if (!bytes) return Bad(fmt::format("\"{}\" is no whole number of bytes below 8Ei", text));
    return *bytes;
  }
  return Bad(fmt::format(
      "\"{}\" has the unknown suffix \"{}\"; use Ki, Mi, Gi, Ti (or k, M, G, T for powers of 1000)", text,
      rest));
}

absl::StatusOr<std::uint64_t> ParseCpu(std::string_view text) {
  std::string_view rest = text;
  const auto number = TakeDecimal(rest);
  if (number && (rest.empty() || rest == "m")) {
    const auto millis = Scale(*number, rest.empty() ? 1'000 : 1, 1'000'000'000);
    if (millis) return *millis;
  }
  return Bad(fmt::format("\"{}\" is not an amount of processors; write one like 2, 0.5 or 500m", text));
}

std::string FormatDuration(std::chrono::milliseconds duration) {
  auto rest = static_cast<std::uint64_t>(duration.count());
  if (rest == 0) return "0s";
  std::string result;
  for (const Unit& unit : {kDurationUnits[3], kDurationUnits[2], kDurationUnits[1], kDurationUnits[0]}) {
    if (rest >= unit.scale) result += fmt::format("{}{}", rest / unit.scale, unit.name);
    rest %= unit.scale;
  }
  return result;
}

std::string FormatQuantity(std::uint64_t bytes) {
  for (const Unit& unit : kByteUnits) {
    if (bytes != 0 && (unit.name.empty() || unit.name.ends_with('i')) && bytes % unit.scale == 0) {
      return fmt::format("{}{}", bytes / unit.scale, unit.name);
    }
  }
  return "0";
}

}  // namespace mayfly::op
