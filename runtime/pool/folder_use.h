// What user code leaves in its temporary folder: how much it is, and how it goes away.
//
// User code made these files and may be changing them meanwhile: names, modes and depth are hostile. Links are not followed.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace mayfly::runtime {

// Whether what lies in the folder `path` takes more than `bytes` of its disk, is more than `entries` files and folders, or
// is nested deeper than 64 folders. Looks no further than it must. Files that are open, but have no name any more, are not
// seen.
bool FolderExceeds(const std::string& path, std::uint64_t bytes, std::size_t entries);

// Removes what lies in the folder, however deep and whatever its modes; whether nothing is left, for something may be putting
// more there, or there is too much for the time.
bool EmptyFolder(const std::string& path, std::chrono::steady_clock::time_point deadline);

}  // namespace mayfly::runtime
