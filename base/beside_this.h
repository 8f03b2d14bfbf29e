// Where the programs of one installation find each other.
#pragma once

#include <string>
#include <string_view>

namespace mayfly::base {

// The path of `program`, which lies in the folder of this very program; its name alone if that is not known.
std::string BesideThis(std::string_view program);

}  // namespace mayfly::base
