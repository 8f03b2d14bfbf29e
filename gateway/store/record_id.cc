#include <sys/random.h>

#include <cstdint>
#include <cstdlib>

#include "gateway/store/event_store.h"

namespace mayfly::gateway {

std::string NewRecordId(UnixMs now) {
  // 48 bits of time, then 80 bits of the kernel's random numbers, in Crockford's base 32.
  constexpr char kDigits[] = "0123456789abcdefghjkmnpqrstvwxyz";
  unsigned char random[10];
  if (::getrandom(random, sizeof random, 0) != sizeof random) std::abort();
  std::string id(26, '0');
  auto time = static_cast<std::uint64_t>(now);
  for (int i = 9; i >= 0; --i, time >>= 5) id[static_cast<std::size_t>(i)] = kDigits[time & 31];
  std::uint32_t bits = 0;
  int have = 0;
  std::size_t at = 10;
  for (const unsigned char byte : random) {
    bits = bits << 8 | byte;
    have += 8;
    while (have >= 5) {
      have -= 5;
      id[at++] = kDigits[bits >> have & 31];
    }
  }
  return id;
}

}  // namespace mayfly::gateway
