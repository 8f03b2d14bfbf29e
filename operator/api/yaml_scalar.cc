#include "operator/api/yaml_scalar.h"

#include <array>
#include <charconv>
#include <cmath>

namespace mayfly::op {
namespace {

bool IsDigits(std::string_view text) {
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
  }
  return !text.empty();
}

// digits [. digits] [e [sign] digits], with at least one digit before or after the point, and a point or an
// exponent.
bool IsFloat(std::string_view text) {
  const std::size_t exponent = text.find_first_of("eE");
  if (exponent != std::string_view::npos) {
    std::string_view digits = text.substr(exponent + 1);
    if (!digits.empty() && (digits[0] == '+' || digits[0] == '-')) digits.remove_prefix(1);
    if (!IsDigits(digits)) return false;
  }
  const std::string_view mantissa = text.substr(0, exponent);
  const std::size_t point = mantissa.find('.');
  if (point == std::string_view::npos) return exponent != std::string_view::npos && IsDigits(mantissa);
  const std::string_view before = mantissa.substr(0, point);
  const std::string_view after = mantissa.substr(point + 1);
  return (before.empty() || IsDigits(before)) && (after.empty() || IsDigits(after)) &&
         !(before.empty() && after.empty());
}

ScalarValue Integer(std::string_view text, std::string_view digits, bool negative, int base) {
  std::uint64_t magnitude = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), magnitude, base);
  const std::uint64_t limit = negative ? std::uint64_t{1} << 63 : UINT64_MAX;
  if (error != std::errc() || end != digits.data() + digits.size() || magnitude > limit) {
    return AmbiguousScalar{std::string(text) + " does not fit 64 bits; put it in quotes to keep its digits"};
  }
  if (negative) return static_cast<std::int64_t>(~magnitude + 1);
  if (magnitude <= static_cast<std::uint64_t>(INT64_MAX)) return static_cast<std::int64_t>(magnitude);
  return magnitude;
}

}  // namespace

ScalarValue ResolveScalar(const YamlNode& node) {
  const std::string& text = node.scalar;
  if (node.quoted) return text;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  constexpr std::array<std::string_view, 16> kOldBools = {"yes", "Yes", "YES", "no",  "No", "NO", "on", "On",
                                                          "ON",  "off", "Off", "OFF", "y",  "Y",  "n",  "N"};
  for (const std::string_view word : kOldBools) {
    if (text == word) {
      return AmbiguousScalar{
          text + " is a text to some YAML readers and a bool to others; write true or false, or put \"" +
          text + "\" in quotes"};
    }
  }
  std::string_view rest = text;
  const bool negative = !rest.empty() && rest[0] == '-';
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) rest.remove_prefix(1);
  if (rest == ".inf" || rest == ".Inf" || rest == ".INF" || rest == ".nan" || rest == ".NaN" ||
      rest == ".NAN") {
    return AmbiguousScalar{text + " has no form in JSON; put it in quotes"};
  }
  if (rest.starts_with("0x") && rest.size() > 2 &&
      rest.find_first_not_of("0123456789abcdefABCDEF", 2) == std::string_view::npos) {
    return Integer(text, rest.substr(2), negative, 16);
  }
  if (rest.starts_with("0o") && rest.size() > 2 &&
      rest.find_first_not_of("01234567", 2) == std::string_view::npos) {
    return Integer(text, rest.substr(2), negative, 8);
  }
  if (IsDigits(rest)) {
    if (rest.size() > 1 && rest[0] == '0') {
      return AmbiguousScalar{
          text + " is octal to some YAML readers and decimal to others; drop the leading 0, or put \"" +
          text + "\" in quotes"};
    }
    return Integer(text, rest, negative, 10);
  }
  if (IsFloat(rest)) {
    double value = 0;
    std::from_chars(rest.data(), rest.data() + rest.size(), value);
    if (!std::isfinite(value)) return AmbiguousScalar{text + " is no finite number; put it in quotes"};
    return negative ? -value : value;
  }
  return text;
}

}  // namespace mayfly::op
