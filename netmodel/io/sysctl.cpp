// Files below /proc/sys/net, of the calling thread's network namespace.
#include "netmodel/io/sysctl.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/unique_fd.hpp"

namespace edge::netmodel {
namespace {

constexpr std::size_t value_bytes_max = 4096;  // A page: what the kernel prints at most.

Result<std::string> file_of(const std::string& path) {
  const bool climbs = ("/" + path + "/").find("/../") != std::string::npos;
  if (!path.starts_with("net/") || climbs || path.find('\0') != std::string::npos) {
    return fail(Errc::invalid_input, "sysctl \"" + path + "\": only paths below net/ are allowed");
  }
  return "/proc/sys/" + path;
}

}  // namespace

Result<std::optional<std::string>> read_sysctl(const std::string& path) {
  EDGE_ASSIGN(const std::string file, file_of(path));
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    if (errno == ENOENT) { return std::optional<std::string>(); }
    return fail_errno(errno, "open " + file);
  }
  std::array<char, value_bytes_max> buffer;
  const ssize_t size = ::read(fd.get(), buffer.data(), buffer.size());
  if (size < 0) { return fail_errno(errno, "read " + file); }
  std::string value(buffer.data(), static_cast<std::size_t>(size));
  while (!value.empty() && value.back() == '\n') { value.pop_back(); }
  return std::optional(std::move(value));
}

Result<void> write_sysctl(const Sysctl& sysctl) {
  EDGE_ASSIGN(const std::string file, file_of(sysctl.path));
  const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) { return fail_errno(errno, "open " + file); }
  const ssize_t size = ::write(fd.get(), sysctl.value.data(), sysctl.value.size());
  if (size < 0) { return fail_errno(errno, "write \"" + sysctl.value + "\" to " + file); }
  if (static_cast<std::size_t>(size) != sysctl.value.size()) {
    return fail(Errc::transient, "short write to " + file);
  }
  return {};
}

}  // namespace edge::netmodel
