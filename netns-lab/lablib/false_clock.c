// A wall clock of one process: the machine's, shifted by an offset in the file $FALSE_CLOCK, which "setting the clock"
// changes. Nothing that this process does through libc reaches the machine's own clock. Loaded with LD_PRELOAD (false_clock.py).
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#ifndef __x86_64__
#error "false_clock.c knows the system calls of x86-64 only"
#endif

// As false_clock.py writes it.
struct shared {
  int64_t offset_ns;
  int32_t synchronised;  // What adjtimex says.
  int32_t refuses;       // Setting it: EPERM.
  int32_t set_count;
  int32_t refused_count;
};
static struct shared nothing;
static struct shared *shared_clock;

// Not libc's: a sanitizer's own functions in front of it are not ready when they first ask for the time.
static long raw(long n, long a, long b, long c, long d, long e, long f) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall" : "=a"(result) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

static long with_errno(long result) {
  if (result >= 0 || result < -4095) return result;
  errno = (int)-result;
  return -1;
}

static struct shared *state(void) {
  struct shared *known = __atomic_load_n(&shared_clock, __ATOMIC_ACQUIRE);
  if (known) return known;
  const char *file = getenv("FALSE_CLOCK");
  long fd = file ? raw(SYS_open, (long)file, O_RDWR | O_CLOEXEC, 0, 0, 0, 0) : -1;
  long mapped = -1;
  if (fd >= 0) {
    mapped = raw(SYS_mmap, 0, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    raw(SYS_close, fd, 0, 0, 0, 0, 0);
  }
  known = mapped < 0 && mapped > -4096 ? &nothing : (struct shared *)mapped;
  __atomic_store_n(&shared_clock, known, __ATOMIC_RELEASE);
  return known;
}

static int is_wall(clockid_t id) { return id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE || id == CLOCK_TAI; }

static int64_t machine_ns(void) {
  struct timespec now;
  raw(SYS_clock_gettime, CLOCK_REALTIME, (long)&now, 0, 0, 0, 0);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t false_ns(void) { return machine_ns() + __atomic_load_n(&state()->offset_ns, __ATOMIC_RELAXED); }

static int set_ns(int64_t ns) {
  if (__atomic_load_n(&state()->refuses, __ATOMIC_RELAXED)) {
    __atomic_add_fetch(&state()->refused_count, 1, __ATOMIC_RELAXED);
    errno = EPERM;
    return -1;
  }
  __atomic_store_n(&state()->offset_ns, ns - machine_ns(), __ATOMIC_RELAXED);
  __atomic_add_fetch(&state()->set_count, 1, __ATOMIC_RELAXED);
  return 0;
}

static int denied(void) {
  errno = EPERM;
  return -1;
}

// -- asked --------------------------------------------------------------------------------------------------------------

int clock_gettime(clockid_t id, struct timespec *out) {
  long result = raw(SYS_clock_gettime, id, (long)out, 0, 0, 0, 0);
  if (result == 0 && is_wall(id)) {
    int64_t ns = (int64_t)out->tv_sec * 1000000000 + out->tv_nsec + __atomic_load_n(&state()->offset_ns, __ATOMIC_RELAXED);
    out->tv_sec = ns / 1000000000;
    out->tv_nsec = ns % 1000000000;
  }
  return (int)with_errno(result);
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
  int64_t ns = false_ns();
  if (zone) memset(zone, 0, sizeof(struct timezone));
  *out = (struct timeval){.tv_sec = ns / 1000000000, .tv_usec = ns % 1000000000 / 1000};
  return 0;
}

time_t time(time_t *out) {
  time_t now = false_ns() / 1000000000;
  if (out) *out = now;
  return now;
}

int timespec_get(struct timespec *out, int base) {
  if (base != TIME_UTC) return 0;
  return clock_gettime(CLOCK_REALTIME, out) == 0 ? base : 0;
}

// -- set: never the machine's ---------------------------------------------------------------------------------------------

int clock_settime(clockid_t id, const struct timespec *to) {
  if (id != CLOCK_REALTIME) return denied();
  return set_ns((int64_t)to->tv_sec * 1000000000 + to->tv_nsec);
}

int settimeofday(const struct timeval *to, const struct timezone *zone) {
  (void)zone;
  return to ? set_ns((int64_t)to->tv_sec * 1000000000 + to->tv_usec * 1000) : denied();
}

int stime(const time_t *to) { return set_ns((int64_t)*to * 1000000000); }

int adjtimex(struct timex *out) {
  if (out->modes != 0) return denied();
  memset(out, 0, sizeof *out);
  const int synchronised = __atomic_load_n(&state()->synchronised, __ATOMIC_RELAXED);
  out->status = synchronised ? STA_PLL : STA_UNSYNC;
  return synchronised ? TIME_OK : TIME_ERROR;
}

int ntp_adjtime(struct timex *out) { return adjtimex(out); }
int __adjtimex(struct timex *out) { return adjtimex(out); }
int clock_adjtime(clockid_t id, struct timex *out) { return id == CLOCK_REALTIME ? adjtimex(out) : denied(); }
int adjtime(const struct timeval *by, struct timeval *left) {
  (void)by;
  (void)left;
  return denied();
}

long syscall(long number, ...) {
  va_list list;
  va_start(list, number);
  long a[6];
  for (int i = 0; i < 6; ++i) a[i] = va_arg(list, long);
  va_end(list);
  switch (number) {
    case SYS_clock_settime: return clock_settime((clockid_t)a[0], (const struct timespec *)a[1]);
    case SYS_settimeofday: return settimeofday((const struct timeval *)a[0], (const struct timezone *)a[1]);
    case SYS_adjtimex: return adjtimex((struct timex *)a[0]);
    case SYS_clock_adjtime: return clock_adjtime((clockid_t)a[0], (struct timex *)a[1]);
    case SYS_clock_gettime: return clock_gettime((clockid_t)a[0], (struct timespec *)a[1]);
    default: return with_errno(raw(number, a[0], a[1], a[2], a[3], a[4], a[5]));
  }
}
