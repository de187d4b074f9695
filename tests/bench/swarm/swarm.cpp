#include "tests/bench/swarm/swarm.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>

#include "console/clock.hpp"

namespace edge::swarm {

using console::mono_now;

std::size_t raise_file_limit(std::size_t wanted) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  rlimit raised{.rlim_cur = wanted, .rlim_max = std::max<rlim_t>(limit.rlim_max, wanted)};
  if (limit.rlim_cur >= wanted || ::setrlimit(RLIMIT_NOFILE, &raised) == 0) {
    return std::max<std::size_t>(wanted, limit.rlim_cur);
  }
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_max;
}

ArrivalRate rate_of(const std::vector<MonoTime>& welcomes, MonoTime since) {
  constexpr Duration slice = std::chrono::milliseconds(100);
  constexpr std::size_t slices_per_s = 10;
  std::vector<MonoTime> times;
  std::ranges::copy_if(welcomes, std::back_inserter(times), [&](MonoTime t) { return t >= since; });
  if (times.empty()) { return {}; }
  const auto [first, last] = std::ranges::minmax(times);
  std::vector<double> slices(static_cast<std::size_t>((last - first) / slice) + 1);
  for (const MonoTime t : times) { ++slices[static_cast<std::size_t>((t - first) / slice)]; }
  ArrivalRate out;
  const double mean = static_cast<double>(times.size()) / static_cast<double>(slices.size());
  out.per_s = mean * slices_per_s;
  out.peak_to_mean = std::ranges::max(slices) / mean;
  double second = 0;
  for (std::size_t i = 0; i < slices.size(); ++i) {
    second += slices[i] - (i >= slices_per_s ? slices[i - slices_per_s] : 0);
    out.peak_per_s = std::max(out.peak_per_s, second);
  }
  out.last_s = std::chrono::duration<double>(last - since).count();
  return out;
}

Swarm::Swarm(ConsoleProcess& console, SwarmOptions options)
    : console_(console),
      options_(options),
      busy_(io_.get_executor()),
      api_(io_, console.http_port(), std::string(ConsoleProcess::token)) {
  for (unsigned i = 0; i < options_.hosts; ++i) {
    SwarmHostOptions host;
    host.id = host_id(i);
    host.number = i;
    host.endpoint = {"127.0.0.1", console_.tunnel_port()};
    host.paths = i < options_.single ? 1 : options_.paths;
    host.seed = options_.seed + i;
    auto tls = console_.host_tls(host.id);
    hosts_.push_back(std::make_unique<SwarmHost>(io_, counts_, std::move(host), std::move(tls)));
  }
}

Swarm::~Swarm() = default;

std::string Swarm::host_id(unsigned number) const { return fmt::format("hv-{:05}", number); }

bool Swarm::run_until(const std::function<bool()>& ready, Duration limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!ready()) {
    const auto left = end - std::chrono::steady_clock::now();
    if (left <= std::chrono::steady_clock::duration::zero()) { return false; }
    io_.restart();
    io_.run_one_for(
        std::min<std::chrono::steady_clock::duration>(left, std::chrono::milliseconds(20)));
  }
  return true;
}

void Swarm::run_for(Duration time) {
  run_until([] { return false; }, time);
}

bool Swarm::connect(Duration limit) {
  const MonoTime began = mono_now();
  std::size_t started = 0;
  return run_until(
      [&] {
        const double elapsed_s = std::chrono::duration<double>(mono_now() - began).count();
        const auto due = options_.hosts_per_s > 0
                             ? static_cast<std::size_t>(elapsed_s * options_.hosts_per_s) + 1
                             : hosts_.size();
        for (; started < std::min(due, hosts_.size()); ++started) { hosts_[started]->start(); }
        return whole();
      },
      limit);
}

bool Swarm::command_all(Duration limit) {
  std::vector<ApiRequest> requests;
  const std::uint64_t batch = ++commands_sent_;
  for (unsigned i = 0; i < hosts_.size(); ++i) {
    requests.push_back(
        {.method = "POST",
         .target = fmt::format("/api/v1/hosts/{}/commands", host_id(i)),
         .body = fmt::format(R"({{"id":"00000000-0000-4000-8000-{:04}{:08}","operations":)"
                             R"([{{"op":"network.delete","network":"n-{}"}}]}})",
                             batch, i, i)});
  }
  const std::uint64_t wanted = counts_.answers_stored + hosts_.size();
  api_.send(std::move(requests), 32, [this](const ApiRequest&, const ApiAnswer& answer) {
    if (answer.status != 202 && answer.status != 200) { ++commands_refused_; }
  });
  return run_until([&] { return counts_.answers_stored >= wanted; }, limit);
}

ApiAnswer Swarm::get(const std::string& target, Duration limit) {
  auto shared = std::make_shared<std::optional<ApiAnswer>>();
  api_.send({{.method = "GET", .target = target, .body = {}}}, 1,
            [shared](const ApiRequest&, const ApiAnswer& answer) { *shared = answer; });
  run_until([&] { return shared->has_value(); }, limit);
  return shared->value_or(ApiAnswer{});
}

bool Swarm::restart_console(int signal, Duration limit) {
  console_.signal(signal);
  if (!run_until([this] { return console_.ended(); }, limit)) { return false; }
  console_.start();
  return wait_for_console(limit);
}

bool Swarm::wait_for_console(Duration limit) {
  auto ask_at = std::chrono::steady_clock::now();
  return run_until(
      [&] {
        if (std::chrono::steady_clock::now() < ask_at) { return false; }
        ask_at = std::chrono::steady_clock::now() + std::chrono::milliseconds(10);
        return console_.answers();
      },
      limit);
}

}  // namespace edge::swarm
