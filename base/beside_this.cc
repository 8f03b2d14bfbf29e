#include "base/beside_this.h"

#include <filesystem>
#include <system_error>

namespace mayfly::base {

std::string BesideThis(std::string_view program) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? std::string(program) : (self.parent_path() / program).string();
}

}  // namespace mayfly::base
