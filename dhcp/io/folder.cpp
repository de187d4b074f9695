// Small file and folder work that the children need.
#include "dhcp/io/folder.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "base/unique_fd.hpp"

namespace edge::dhcp {

Result<void> make_folder(const std::string& path, mode_t mode) {
  for (std::size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
    const std::string part = path.substr(0, at);
    if (mkdir(part.c_str(), at == std::string::npos ? mode : 0755) != 0 && errno != EEXIST) {
      return fail_errno(errno, "make folder " + part);
    }
    if (at == std::string::npos) { break; }
  }
  struct stat present{};
  if (stat(path.c_str(), &present) == 0 && (present.st_mode & 07777U) == mode) {
    return {};  // On a disk that has become read-only a folder that is right is right.
  }
  if (chmod(path.c_str(), mode) != 0) { return fail_errno(errno, "set mode of " + path); }
  return {};
}

Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) { return fail_errno(errno, "open " + path); }
  std::string out;
  std::array<char, 8192> buffer{};
  while (out.size() < bytes_max) {
    const ssize_t length = read(fd.get(), buffer.data(), buffer.size());
    if (length < 0) { return fail_errno(errno, "read " + path); }
    if (length == 0) { break; }
    out.append(buffer.data(), static_cast<std::size_t>(length));
  }
  if (out.size() > bytes_max) { out.resize(bytes_max); }
  return out;
}

Result<void> write_file(const std::string& path, std::string_view text, mode_t mode,
                        Outlives outlives) {
  const auto present = read_file(path, text.size() + 1);
  if (present && *present == text) { return {}; }
  const std::string temporary = path + ".new";
  UniqueFd fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!fd) { return fail_errno(errno, "open " + temporary); }
  std::string_view left = text;
  while (!left.empty()) {
    const ssize_t written = write(fd.get(), left.data(), left.size());
    if (written < 0) { return fail_errno(errno, "write " + temporary); }
    left.remove_prefix(static_cast<std::size_t>(written));
  }
  if (fchmod(fd.get(), mode) != 0) { return fail_errno(errno, "set mode of " + temporary); }
  if (outlives == Outlives::power && fdatasync(fd.get()) != 0) {
    return fail_errno(errno, "sync " + temporary);
  }
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    return fail_errno(errno, "rename to " + path);
  }
  return {};
}

std::string program_path(const std::string& name) {
  if (name.find('/') != std::string::npos) { return name; }
  std::array<char, 4096> self{};
  const ssize_t length = readlink("/proc/self/exe", self.data(), self.size());
  if (length <= 0) { return name; }
  const std::string path(self.data(), static_cast<std::size_t>(length));
  return path.substr(0, path.rfind('/') + 1) + name;
}

}  // namespace edge::dhcp
