// One request, its answers, and what each failure tells a person.
#include "uplink/ctl/session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <utility>

#include "uplink/ctl/client.hpp"
#include "uplink/ctl/diag.hpp"
#include "uplink/ctl/render.hpp"

namespace edge::uplink::ctl {

namespace json = boost::json;

namespace {

using std::chrono::milliseconds;
constexpr milliseconds question_patience = std::chrono::seconds(60);
constexpr milliseconds forever(-1);
/// Orders: what stands in line before them may be a trial, and that may wait for a Console.
constexpr std::array<std::string_view, 5> orders{"apply", "rollback", "drain", "drill", "identify"};

milliseconds patience_of(const Invocation& invocation) {
  const bool order = std::ranges::find(orders, invocation.command) != orders.end();
  return invocation.streaming || order ? forever : question_patience;
}

Exit exit_of(const json::object& answer) {
  const auto* exit = answer.if_contains("exit");
  if (exit == nullptr || !exit->is_int64()) { return Exit::failed; }
  const auto number = std::clamp<std::int64_t>(exit->get_int64(), 0, 4);
  return static_cast<Exit>(number);
}

Exit no_daemon(const Error& error, const Invocation& invocation, const Terminal& terminal) {
  if (error.code == Errc::invalid_input) {
    terminal.err << "uplinkctl: " << error.what << "\n";
    return Exit::usage;
  }
  const bool denied = error.code == Errc::denied;
  terminal.err << fmt::format("uplinkctl: no daemon answers at {}: {}\n", invocation.socket,
                              error.os_errno == 0 ? error.what : std::strerror(error.os_errno))
               << (denied ? "  the socket belongs to root: run uplinkctl as root\n"
                          : "  start it with \"systemctl start uplinkd\", or name its socket with "
                            "--socket PATH "
                            "([paths] runtime in uplink.toml, /control.sock)\n");
  return Exit::no_daemon;
}

Result<std::string> read_input(const std::string& file) {
  if (file == "-") { return std::string(std::istreambuf_iterator<char>(std::cin), {}); }
  std::ifstream in(file, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(in), {});
  if (!in.is_open() || in.bad()) { return fail_errno(errno == 0 ? EIO : errno, file); }
  return text;
}

/// The screen is drawn over line by line, so it does not flicker.
void draw_over(const std::string& text, std::ostream& out) {
  out << "\x1b[H";
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) { out << line << "\x1b[K\n"; }
  out << "\x1b[J" << std::flush;
}

void show(const Invocation& invocation, const json::value& data, const Terminal& terminal) {
  if (invocation.json) {
    terminal.out << json::serialize(data) << "\n" << std::flush;
    return;
  }
  const std::string text = render(invocation.command, data, terminal.style);
  if (invocation.command == "watch" && terminal.redraw) {
    draw_over(text, terminal.out);
  } else {
    terminal.out << text << (invocation.command == "watch" ? "\n" : "") << std::flush;
  }
}

/// One answer. Returns the exit status that it asks for.
Exit show_answer(const Invocation& invocation, const std::string& line, const Terminal& terminal) {
  boost::system::error_code error;
  const json::value value = json::parse(line, error);
  if (error || !value.is_object()) {
    terminal.err << "uplinkctl: the daemon's answer is not a JSON object: "
                 << printable(line.substr(0, 200)) << "\n";
    return Exit::failed;
  }
  const auto& answer = value.get_object();
  if (const auto* data = answer.if_contains("data")) { show(invocation, *data, terminal); }
  if (const auto* said = answer.if_contains("error"); said != nullptr && said->is_string()) {
    terminal.err << "uplinkctl: " << printable(said->get_string()) << "\n";
  }
  return exit_of(answer);
}

bool interrupted(const Terminal& terminal) {
  return terminal.interrupted != nullptr && *terminal.interrupted;
}

Exit converse(Client& client, const Invocation& invocation, const Terminal& terminal) {
  if (invocation.command == "watch" && terminal.redraw && !invocation.json) {
    terminal.out << "\x1b[2J";
  }
  while (true) {
    const auto line = client.receive(patience_of(invocation));
    if (!line && interrupted(terminal)) { return Exit::done; }
    if (!line && line.error().os_errno == EINTR) { continue; }
    if (!line) {
      terminal.err << "uplinkctl: " << invocation.command << ": " << line.error().what << "\n";
      return line.error().code == Errc::not_found ? Exit::no_daemon : Exit::failed;
    }
    const Exit exit = show_answer(invocation, *line, terminal);
    if (!invocation.streaming || exit == Exit::failed || exit == Exit::usage) { return exit; }
  }
}

}  // namespace

Exit run(const Invocation& invocation, const Terminal& terminal) {
  if (invocation.command == "diag") { return collect_diag(invocation, terminal); }
  json::object request{{"command", invocation.command}, {"args", invocation.args}};
  if (invocation.command == "apply") {
    const auto text = read_input(invocation.file);
    auto order = text ? order_in(*text) : Result<json::object>(std::unexpected(text.error()));
    if (!order) {
      terminal.err << fmt::format("uplinkctl: {}{}\n", text ? invocation.file + ": " : "",
                                  order.error().what);
      return Exit::usage;
    }
    for (const auto& [key, value] : invocation.args) { (*order)[key] = value; }
    request["args"] = *std::move(order);
  }
  auto client = Client::connect(invocation.socket);
  if (!client) { return no_daemon(client.error(), invocation, terminal); }
  if (const auto sent = client->send(json::serialize(request)); !sent) {
    return no_daemon(sent.error(), invocation, terminal);
  }
  return converse(*client, invocation, terminal);
}

}  // namespace edge::uplink::ctl
