// A Refusal is the answer to a request that goes no further: its status, one word for machines, a sentence
// for people.
#pragma once

#include <string>
#include <string_view>

namespace mayfly::gateway {

struct Refusal {
  int status = 0;
  // A literal: it is a label of a metric.
  std::string_view reason;
  std::string message;

  explicit operator bool() const { return status != 0; }
};

}  // namespace mayfly::gateway
