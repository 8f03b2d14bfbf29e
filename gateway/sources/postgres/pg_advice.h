// How to mend what a PostgreSQL server complains about. Pure.
#pragma once

#include <string_view>

namespace mayfly::gateway {

// A sentence for people, beside the server's own words; "" if there is nothing to add. `state` is the SQLSTATE, or "".
std::string_view PgAdvice(std::string_view state, std::string_view words);

}  // namespace mayfly::gateway
