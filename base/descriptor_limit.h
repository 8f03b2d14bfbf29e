// How many files and sockets this process may open.
#pragma once

namespace mayfly::base {

// Raises the soft limit to the hard one: each connection and each child takes descriptors, and the usual soft limit of 1,024 is
// there for programs that call select(). Does nothing where that is not allowed.
void RaiseDescriptorLimit();

}  // namespace mayfly::base
