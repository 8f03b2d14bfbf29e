// Hexadecimal digits.
#pragma once

namespace mayfly::base {

// What `c` stands for, or -1 if it is no digit of either case.
inline int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace mayfly::base
