// Questions and commands run one after the other; a file that failed says why.
#include "uplink/ctl/diag.hpp"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/json.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <string>
#include <utility>

#include "uplink/ctl/client.hpp"
#include "uplink/ctl/render.hpp"

namespace edge::uplink::ctl {

namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

constexpr std::array questions{"status",   "ports",      "paths",   "leases", "groups",
                               "networks", "interfaces", "gateway", "doctor", "history",
                               "events",   "export",     "plan"};

struct KernelView {
  const char* file;
  const char* line;
};
constexpr std::array<KernelView, 9> kernel_views{{
    {"ip-link.txt", "ip -d -s link show"},
    {"ip-addr.txt", "ip addr show"},
    {"ip-rule.txt", "ip rule show; ip -6 rule show"},
    {"ip-route.txt", "ip route show table all; ip -6 route show table all"},
    {"ip-neigh.txt", "ip neigh show"},
    {"bridge.txt", "bridge -d link show; bridge fdb show"},
    {"nft.txt", "nft list ruleset"},
    {"processes.txt",
     "ps -eo pid,ppid,etime,rss,stat,args | grep -E 'uplinkd|dhcpcd|dnsmasq' | grep -v grep"},
    {"log.txt", "journalctl -u uplinkd -n 5000 --no-pager"},
}};

/// Removed with all that is in it, whatever happens.
class ScratchFolder {
 public:
  static Result<ScratchFolder> make() {
    std::string name = (fs::temp_directory_path() / "uplink-diag-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) { return fail_errno(errno, name); }
    return ScratchFolder(name);
  }
  ScratchFolder(ScratchFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ScratchFolder& operator=(ScratchFolder&&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;  // A folder left in /tmp harms nobody.
    if (!path_.empty()) { fs::remove_all(path_, ignored); }
  }
  const fs::path& path() const { return path_; }

 private:
  explicit ScratchFolder(fs::path path) : path_(std::move(path)) {}
  fs::path path_;
};

std::string output_of(const std::string& line) {
  std::FILE* pipe = ::popen(("{ " + line + "; } 2>&1").c_str(), "re");
  if (pipe == nullptr) { return std::string("cannot run it: ") + std::strerror(errno) + "\n"; }
  std::string out;
  std::array<char, 8192> buffer{};
  while (const std::size_t size = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    out.append(buffer.data(), size);
  }
  ::pclose(pipe);
  return out;
}

/// The data of one question; what went wrong instead, as a JSON string.
std::string answer_to(const std::string& socket, std::string_view question) {
  const auto wrong = [](const Error& error) { return pretty_json(json::value(error.what)); };
  auto client = Client::connect(socket);
  if (!client) { return wrong(client.error()); }
  const json::object request{{"command", question}, {"args", json::object{{"limit", 10'000}}}};
  if (const auto sent = client->send(json::serialize(request)); !sent) {
    return wrong(sent.error());
  }
  const auto line = client->receive(std::chrono::seconds(20));
  if (!line) { return wrong(line.error()); }
  boost::system::error_code error;
  const json::value answer = json::parse(*line, error);
  return error ? *line : pretty_json(answer);
}

Result<void> pack(const fs::path& folder, const std::string& archive) {
  const std::string parent = folder.parent_path().string(), name = folder.filename().string();
  std::array<char*, 7> arguments{const_cast<char*>("tar"),
                                 const_cast<char*>("-C"),
                                 const_cast<char*>(parent.c_str()),
                                 const_cast<char*>("-czf"),
                                 const_cast<char*>(archive.c_str()),
                                 const_cast<char*>(name.c_str()),
                                 nullptr};
  pid_t child = 0;
  if (const int error = ::posix_spawnp(&child, "tar", nullptr, nullptr, arguments.data(), environ);
      error != 0) {
    return fail_errno(error, "run tar");
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return fail(Errc::transient, "tar could not write " + archive);
  }
  return {};
}

}  // namespace

Exit collect_diag(const Invocation& invocation, const Terminal& terminal) {
  const auto failed = [&](const Error& error) {
    terminal.err << "uplinkctl: diag: " << error.what << "\n";
    return Exit::failed;
  };
  const auto scratch = ScratchFolder::make();
  if (!scratch) { return failed(scratch.error()); }
  const bool daemon = Client::connect(invocation.socket).has_value();
  if (daemon) {
    for (const char* question : questions) {
      std::ofstream(scratch->path() / (std::string(question) + ".json"))
          << answer_to(invocation.socket, question);
    }
  } else {
    terminal.err << fmt::format(
        "uplinkctl: diag: no daemon answers at {}: the archive holds the kernel's view only\n",
        invocation.socket);
  }
  for (const KernelView& view : kernel_views) {
    std::ofstream(scratch->path() / view.file) << output_of(view.line);
  }
  std::error_code error;
  const auto archive = fs::absolute(invocation.file, error).string();
  if (const auto packed = pack(scratch->path(), archive); !packed) {
    return failed(packed.error());
  }
  terminal.out << fmt::format("{}: {} files\n", invocation.file,
                              kernel_views.size() + (daemon ? questions.size() : 0));
  return daemon ? Exit::done : Exit::no_daemon;
}

}  // namespace edge::uplink::ctl
