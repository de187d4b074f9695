// A network namespace per test, inside the test binary.
#include "tests/contract/kernel/own_namespace.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>

#include "base/assert.hpp"
#include "base/unique_fd.hpp"

namespace edge::netmodel {
namespace {

void write_file(const char* path, const std::string& text) {
  const UniqueFd fd(::open(path, O_WRONLY | O_CLOEXEC));
  EDGE_ASSERT(::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

void enter_user_namespace() {
  const auto uid = std::to_string(::getuid()), gid = std::to_string(::getgid());
  EDGE_ASSERT(::unshare(CLONE_NEWUSER) == 0);
  write_file("/proc/self/setgroups", "deny");
  write_file("/proc/self/uid_map", "0 " + uid + " 1");
  write_file("/proc/self/gid_map", "0 " + gid + " 1");
}

}  // namespace

void enter_new_namespace() {
  static bool first = true;
  if (first) {
    if (::geteuid() != 0) { enter_user_namespace(); }
    EDGE_ASSERT(::unshare(CLONE_NEWNS) == 0);
    EDGE_ASSERT(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
  } else {
    EDGE_ASSERT(::umount2("/sys", MNT_DETACH) == 0);
  }
  EDGE_ASSERT(::unshare(CLONE_NEWNET) == 0);
  EDGE_ASSERT(::mount("sysfs", "/sys", "sysfs", 0, nullptr) == 0);
  first = false;
}

std::string ip_output(const std::string& arguments) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(
      ::popen(("ip " + arguments + " 2>&1").c_str(), "re"), [](FILE*) { return 0; });
  EDGE_ASSERT(pipe != nullptr);
  std::string output;
  std::array<char, 4096> buffer;
  while (const std::size_t size = std::fread(buffer.data(), 1, buffer.size(), pipe.get())) {
    output.append(buffer.data(), size);
  }
  const int status = ::pclose(pipe.get());
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0)
      << "ip " << arguments << ": " << output;
  return output;
}

void ip_batch(const std::string& lines) {
  FILE* pipe = ::popen("ip -batch -", "we");
  EDGE_ASSERT(pipe != nullptr);
  EXPECT_EQ(std::fwrite(lines.data(), 1, lines.size(), pipe), lines.size());
  EXPECT_EQ(::pclose(pipe), 0);
}

void await_sysfs(const std::string& attribute, const std::string& value) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  std::string seen;
  while (seen != value && std::chrono::steady_clock::now() < deadline) {
    std::ifstream("/sys/class/net/" + attribute) >> seen;
  }
  EXPECT_EQ(seen, value) << attribute;
}

void ip(const std::string& arguments) { (void)ip_output(arguments); }

}  // namespace edge::netmodel
