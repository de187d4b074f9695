#include "tests/contract/dhcp/lab.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace edge::dhcp::lab {
namespace {

constexpr unsigned lower_up = 1U << 16;  // IFF_LOWER_UP, which <net/if.h> lacks.

UniqueFd current_net() { return UniqueFd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)); }

UniqueFd new_net() {
  EXPECT_EQ(unshare(CLONE_NEWNET), 0) << "needs root";
  return current_net();
}

void enter(const UniqueFd& net) { ASSERT_EQ(setns(net.get(), CLONE_NEWNET), 0); }

/// /run of our own: what the keeper makes there must not stay on the machine.
void hide_run() {
  static const bool done = [] {
    EXPECT_EQ(unshare(CLONE_NEWNS), 0) << "needs root";
    EXPECT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    EXPECT_EQ(mount("tmpfs", "/run", "tmpfs", 0, "mode=0755"), 0);
    return true;
  }();
  EXPECT_TRUE(done);
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
  std::string pattern = "/tmp/uplink-dhcp-XXXXXX";
  EXPECT_NE(mkdtemp(pattern.data()), nullptr);
  path_ = pattern;
}
TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;  // What cannot be removed is left for a person to see.
  std::filesystem::remove_all(path_, ignored);
}

Lab::Lab() {
  hide_run();
  // UPLINK_TEST_LOG=debug shows every event, decision and line of the children.
  const char* level = std::getenv("UPLINK_TEST_LOG");
  spdlog::set_level(spdlog::level::from_str(level == nullptr ? "off" : level));
  net_ = new_net();
  net_control_.reset(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  host_ = new_net();
  in_net(
      "ip link set lo up && ip link add sw type bridge forward_delay 0 stp_state 0 && ip link set "
      "sw up");
  in_host(fmt::format(
      "ip link set lo up && ip link add eth0 index 40 address 02:00:00:00:00:aa type veth "
      "peer name p0 index 70 netns /proc/{}/fd/{}",
      getpid(), net_.get()));
  in_net("ip link set p0 master sw && ip link set p0 up");
  in_host(
      "ip link add br0 address 02:00:00:00:00:aa type bridge forward_delay 0 stp_state 0 && "
      "ip link set eth0 master br0 && ip link set eth0 up && ip link set br0 up");
  // The kernel takes up to a second to let new bridges and their ports forward; replugged ones are
  // quick.
  EXPECT_TRUE(wait([this] {
    return output_of_net("bridge link show dev p0").find("forwarding") != std::string::npos &&
           std::system("ip -br link show br0 | grep -q ' UP '") == 0;
  }));
}

void Lab::add_neighbour(const std::string& address) {
  neighbours_.push_back(new_net());
  enter(host_);
  const std::size_t number = neighbours_.size();
  in_net(fmt::format(
      "ip link add n{0} index {1} type veth peer name up0 index {2} netns /proc/{3}/fd/{4} "
      "&& ip link set n{0} master sw && ip link set n{0} up",
      number, 200 + number, 100 + number, getpid(), neighbours_.back().get()));
  run(neighbours_.back().get(), "ip link set up0 up && ip addr add " + address + " dev up0");
}

void Lab::run(int net_fd, const std::string& line) {
  ASSERT_EQ(setns(net_fd, CLONE_NEWNET), 0);
  const int status = std::system(line.c_str());
  enter(host_);
  ASSERT_EQ(status, 0) << line;
}
void Lab::in_host(const std::string& line) { run(host_.get(), line); }
void Lab::in_net(const std::string& line) { run(net_.get(), line); }

std::string Lab::output_of_net(const std::string& line) {
  FILE* pipe = nullptr;
  at_net([&] { pipe = popen(line.c_str(), "r"); });
  std::string out;
  std::array<char, 4096> buffer{};
  while (pipe != nullptr && fgets(buffer.data(), buffer.size(), pipe) != nullptr) {
    out += buffer.data();
  }
  if (pipe != nullptr) { pclose(pipe); }
  return out;
}

void Lab::at_net(const std::function<void()>& work) {
  const UniqueFd before(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  enter(net_);
  work();
  enter(before);
}

void Lab::set_admin(bool up) {
  ifreq request{};
  std::strcpy(request.ifr_name, "p0");
  ASSERT_EQ(ioctl(net_control_.get(), SIOCGIFFLAGS, &request), 0);
  const auto flags = static_cast<unsigned>(request.ifr_flags);
  request.ifr_flags =
      static_cast<short>(up ? flags | IFF_UP : flags & ~static_cast<unsigned>(IFF_UP));
  ASSERT_EQ(ioctl(net_control_.get(), SIOCSIFFLAGS, &request), 0);
}

bool Lab::wait(const std::function<bool()>& condition, Clock::duration patience) {
  const auto end = Clock::now() + patience;
  io_.restart();
  while (!condition()) {
    const auto left = end - Clock::now();
    if (left <= Clock::duration::zero()) { return false; }
    // Conditions about other processes have no event here: looked at every 5 ms besides.
    io_.run_one_for(std::min<Clock::duration>(left, milliseconds(5)));
    if (io_.stopped()) { io_.restart(); }
  }
  return true;
}

Server::Server(Lab& lab, const std::vector<std::string>& options) {
  static int number = 0;
  ++number;
  const std::string folder = lab.folder().path();
  ChildCommand command{
      .keeper =
          std::filesystem::read_symlink("/proc/self/exe").parent_path() / "uplink-dhcp-keeper",
      .lock_file = fmt::format("{}/server{}.lock", folder, number),
      .argv = {"/usr/sbin/dnsmasq", "-k", "--conf-file=/dev/null", "--log-facility=-",
               "--user=root", "--bind-interfaces", "--interface=sw", "--except-interface=lo",
               "--pid-file=", "--no-ping", "--no-resolv",
               "--dhcp-leasefile=" + folder + "/server-leases"}};
  for (const std::string& option : options) { command.argv.push_back("--" + option); }
  lab.at_net([&] {
    auto child = Child::spawn(
        lab.io(), command, [](const ChildExit&) {},
        [this](std::string_view line) { lines_.emplace_back(line); });
    ASSERT_TRUE(child.has_value()) << child.error().what;
    child_ = std::move(*child);
  });
  EXPECT_TRUE(lab.wait([this] { return lines_with("started") > 0; }))
      << (lines_.empty() ? "no output" : lines_.back());
}

int Server::lines_with(std::string_view text) const {
  return static_cast<int>(std::ranges::count_if(
      lines_, [text](const std::string& line) { return line.find(text) != std::string::npos; }));
}

Port::Port(Lab& lab, std::string key) : lab_(lab), link_events_(lab.io()) {
  const int events = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK;
  EXPECT_EQ(bind(events, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  link_events_.assign(events);
  watch_link();
  auto made = DhcpClient::create(
      lab.io(),
      {.interface = Lab::bridge,
       .key = std::move(key),
       .runtime_dir = lab.folder().path() + "/run",
       .state_dir = lab.folder().path() + "/state"},
      {.on_lease =
           [this](const LeaseUpdate& update) {
             set_address(update.lease);
             seen_.push_back({Clock::now(), update});
           },
       .on_lease6 = [this](const Lease6Update& update) { lease6_ = update.lease; },
       .on_trouble = [this](const std::string& text) { troubles_.push_back(text); }});
  EXPECT_TRUE(made.has_value()) << made.error().what;
  client_ = std::move(*made);
}

Port::~Port() = default;

void Port::start(std::optional<Lease> stored) { client_->start_with(std::move(stored), carrier_); }

void Port::stop() {
  bool done = false;
  client_->stop([&done] { done = true; });
  EXPECT_TRUE(lab_.wait([&done] { return done; }));
}

void Port::watch_link() {
  link_events_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                          [this](boost::system::error_code error) {
                            if (error) { return; }
                            take_link_events();
                            watch_link();
                          });
}

void Port::take_link_events() {
  alignas(nlmsghdr) std::array<char, 32768> buffer{};
  for (;;) {
    const ssize_t size = recv(link_events_.native_handle(), buffer.data(), buffer.size(), 0);
    if (size <= 0) { return; }
    auto left = static_cast<unsigned>(size);
    for (auto* message = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_type != RTM_NEWLINK) { continue; }
      const auto* link = static_cast<const ifinfomsg*>(NLMSG_DATA(message));
      if (static_cast<unsigned>(link->ifi_index) != if_nametoindex(Lab::port)) { continue; }
      const bool up = (link->ifi_flags & lower_up) != 0;
      if (up == std::exchange(carrier_, up)) { continue; }
      client_->carrier_changed(up);
    }
  }
}

void Port::set_address(const std::optional<Lease>& lease) {
  const std::string wanted = lease ? to_string(lease->address) : std::string();
  if (wanted == address_) { return; }
  if (!address_.empty()) { lab_.in_host("ip addr del " + address_ + " dev br0"); }
  if (!wanted.empty()) { lab_.in_host("ip addr replace " + wanted + " dev br0 noprefixroute"); }
  address_ = wanted;
}

bool Port::wait_phase(LeasePhase wanted, Clock::duration patience) {
  return lab_.wait([&] { return phase() == wanted; }, patience);
}

std::vector<pid_t> Port::dhcpcd_processes() const {
  std::vector<pid_t> all{static_cast<pid_t>(client_->status().pid)};
  std::vector<pid_t> out;
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::ifstream children(fmt::format("/proc/{0}/task/{0}/children", all[i]));
    for (pid_t pid = 0; children >> pid;) { all.push_back(pid); }
    std::string name;
    std::getline(std::ifstream(fmt::format("/proc/{}/comm", all[i])), name);
    if (name == "dhcpcd") { out.push_back(all[i]); }
  }
  return out;
}

bool all_gone(const std::vector<pid_t>& processes, milliseconds patience) {
  const auto end = Clock::now() + patience;
  for (const pid_t pid : processes) {
    const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    if (!pidfd) { continue; }
    pollfd watch{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
    const auto left = std::chrono::duration_cast<milliseconds>(end - Clock::now()).count();
    if (poll(&watch, 1, static_cast<int>(std::max<std::int64_t>(left, 0))) != 1) { return false; }
  }
  return true;
}

milliseconds since(Clock::time_point start) {
  return std::chrono::duration_cast<milliseconds>(Clock::now() - start);
}

milliseconds print_figure(std::string_view name, std::vector<milliseconds> values) {
  std::ranges::sort(values);
  const milliseconds median = values[values.size() / 2];
  fmt::print("[ figure   ] {}: min {} median {} max {} ms (n={})\n", name, values.front().count(),
             median.count(), values.back().count(), values.size());
  return median;
}

}  // namespace edge::dhcp::lab
