/* A datagram every interval, numbered, one way: what a silent receiver misses. Fast enough for 1 ms under emulation.
 *   steady send ADDRESS PORT INTERVAL_US    until SIGTERM; then how many were sent
 *   steady count PORT                       says "ready", "first"; until SIGTERM and 1 s without one: "received first last longest_ms" */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static volatile sig_atomic_t ended;
static void end(int signal_number) { (void)signal_number; ended = 1; }

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int send_all(const char* address, int port, long interval_us) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  inet_pton(AF_INET, address, &to.sin_addr);
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct timespec next;
  clock_gettime(CLOCK_MONOTONIC, &next);
  uint64_t number = 0;
  for (; !ended; ++number) {
    sendto(fd, &number, sizeof number, 0, (struct sockaddr*)&to, sizeof to);
    next.tv_nsec += interval_us * 1000;
    next.tv_sec += next.tv_nsec / 1000000000;
    next.tv_nsec %= 1000000000;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
  }
  printf("%llu\n", (unsigned long long)number);
  return 0;
}

static int count_all(int port) {
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (bind(fd, (struct sockaddr*)&here, sizeof here) != 0) { return 1; }
  uint64_t received = 0, first = 0, number = 0;
  double before = 0, longest = 0;
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    int got = poll(&ready, 1, 1000);
    if (got == 0 && ended) { break; }
    if (got <= 0 || recv(fd, &number, sizeof number, 0) != sizeof number) { continue; }
    double at = now_ms();
    if (received++ == 0) {
      first = number;
      puts("first");
      fflush(stdout);
    } else if (at - before > longest) { longest = at - before; }
    before = at;
  }
  printf("%llu %llu %llu %.3f\n", (unsigned long long)received, (unsigned long long)first, (unsigned long long)number, longest);
  return 0;
}

int main(int argc, char** argv) {
  struct sigaction action = {.sa_handler = end};
  sigaction(SIGTERM, &action, NULL);
  if (argc == 5 && !strcmp(argv[1], "send")) { return send_all(argv[2], atoi(argv[3]), atol(argv[4])); }
  if (argc == 3 && !strcmp(argv[1], "count")) { return count_all(atoi(argv[2])); }
  return 2;
}
