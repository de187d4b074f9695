// Small file and folder work that the children need.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace edge::dhcp {

/// Makes the folder and its parents. Errors: as mkdir(2).
Result<void> make_folder(const std::string& path, mode_t mode);

/// What must not leave a torn file behind.
enum class Outlives : std::uint8_t {
  process,  ///< Its end at any moment.
  power,    ///< A power cut: synced before it gets its name, old or new, never empty.
};

/// Replaces the file in one step (rename), only when its text differs: dhcpcd takes a newer file
/// for a reason to drop its lease. Errors: as open(2), write(2), fdatasync(2), rename(2).
Result<void> write_file(const std::string& path, std::string_view text, mode_t mode,
                        Outlives outlives = Outlives::process);

/// At most `bytes_max` bytes. Errors: not_found; as open(2), read(2).
Result<std::string> read_file(const std::string& path, std::size_t bytes_max);

/// `name` when it has a slash, else the file of that name beside our own program.
std::string program_path(const std::string& name);

}  // namespace edge::dhcp
