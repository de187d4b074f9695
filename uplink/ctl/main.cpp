// uplinkctl: the same facts and actions for a person at the machine.
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string_view>

#include "uplink/ctl/session.hpp"

namespace {

std::atomic<bool> interrupted = false;

/// Colour and redrawing are for eyes: a terminal that is not "dumb", and nobody asked for NO_COLOR
/// (no-color.org).
bool on_terminal() {
  const char* term = std::getenv("TERM");
  return ::isatty(STDOUT_FILENO) == 1 && term != nullptr && std::string_view(term) != "dumb";
}
bool wants_colour() {
  const char* no_colour = std::getenv("NO_COLOR");
  return on_terminal() && (no_colour == nullptr || *no_colour == '\0');
}

void end_stream_on_interrupt() {
  struct sigaction action{};
  action.sa_handler = [](int) { interrupted = true; };  // No SA_RESTART: the wait must return.
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace edge::uplink::ctl;
  const auto invocation = parse_arguments(argc, argv);
  if (!invocation) {
    (invocation.error().exit == Exit::done ? std::cout : std::cerr) << invocation.error().text;
    return static_cast<int>(invocation.error().exit);
  }
  if (invocation->streaming) { end_stream_on_interrupt(); }
  const Terminal terminal{.out = std::cout,
                          .err = std::cerr,
                          .style = {.colour = wants_colour()},
                          .redraw = on_terminal(),
                          .interrupted = &interrupted};
  return static_cast<int>(run(*invocation, terminal));
}
