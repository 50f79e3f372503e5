/* Torture room: a library for LD_PRELOAD that counts the calls which change files under one folder, and at the n-th
 * kills the process or lets the call fail. Whatever goes through the C library is seen: Python, Rust, HDF5.
 *
 * Environment, read at start:  HRM_SHIM_ROOT    the folder; without it nothing is counted
 *   HRM_SHIM_KILL_AT=n         SIGKILL in place of the n-th call
 *   HRM_SHIM_FAIL_AT=n         the n-th call and all after it fail with HRM_SHIM_ERRNO (a number; ENOSPC) ...
 *   HRM_SHIM_ROOM=path         ... until this file exists;  HRM_SHIM_ONCE=1  only the n-th fails
 *   HRM_SHIM_HALF=1            where the n-th is a write, half of its bytes are written first
 *   HRM_SHIM_LOG=path          a line for each call: number, call, path
 * A process that forks children arms them by `hrm_shim_arm`. Not seen: mapped memory, stdio inside the C library. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OFF, COUNT, KILL, FAIL, FAIL_ONCE };       /* modes, as in shim.py */
enum { PASS, REFUSE, HALF };                      /* what becomes of a call */
enum { FREES = 0, TAKES = 1, WRITES = 2 };        /* whether it needs room; whether it can be done by half */

static char root[PATH_MAX], only[256], room[PATH_MAX];
static int mode, error_number = ENOSPC, half, was_short, log_fd = -1;
static long limit, count;

#define NEXT(name) \
    static __typeof__(&name) next; \
    if (!next) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

long hrm_shim_count(void) { return count; }

void hrm_shim_arm(int new_mode, long n, int number, int by_half, const char *part, const char *log) {
    mode = OFF;
    count = was_short = 0;
    limit = n; error_number = number; half = by_half;
    snprintf(only, sizeof only, "%s", part ? part : "");
    if (log_fd >= 0) syscall(SYS_close, log_fd);
    log_fd = log && *log ? (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    mode = new_mode;
}

__attribute__((constructor)) static void start(void) {
    const char *place = getenv("HRM_SHIM_ROOT"), *kill_at = getenv("HRM_SHIM_KILL_AT"), *fail_at = getenv("HRM_SHIM_FAIL_AT");
    const char *log = getenv("HRM_SHIM_LOG"), *number = getenv("HRM_SHIM_ERRNO"), *file = getenv("HRM_SHIM_ROOM");
    if (!place || !*place) return;
    snprintf(root, sizeof root, "%s", place);
    snprintf(room, sizeof room, "%s", file ? file : "");
    int new_mode = kill_at ? KILL : fail_at ? (getenv("HRM_SHIM_ONCE") ? FAIL_ONCE : FAIL) : log ? COUNT : OFF;
    hrm_shim_arm(new_mode, atol(kill_at ? kill_at : fail_at ? fail_at : "0"), number ? atoi(number) : ENOSPC,
                 getenv("HRM_SHIM_HALF") != NULL, "", log);
}

static int whole_path(int folder, const char *path, char *out) {
    char link[64];
    ssize_t length = 0;
    if (path && *path == '/') return snprintf(out, PATH_MAX, "%s", path) > 0;
    snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
    length = readlink(link, out, PATH_MAX - 1);
    if (length <= 0) return 0;
    out[length] = 0;
    if (path) snprintf(out + length, PATH_MAX - length, "/%s", path);
    return 1;
}

static int judge(const char *call, int folder, const char *path, int kind) {
    char place[PATH_MAX + 2], line[PATH_MAX + 64];
    size_t length = strlen(root);
    int saved = errno, short_before = was_short;
    if (mode == OFF || !length || !whole_path(folder, path, place)) { errno = saved; return PASS; }
    errno = saved;
    if (strncmp(place, root, length) || (place[length] && place[length] != '/')) return PASS;
    if (*only && !strstr(place, only)) return PASS;
    long number = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
    if (log_fd >= 0) {
        int size = snprintf(line, sizeof line, "%ld %s %s\n", number, call, place);
        syscall(SYS_write, log_fd, line, size);
        errno = saved;
    }
    int here = number == limit, by_half = here && half && kind & WRITES;
    if (mode == KILL && here) {
        if (by_half) return HALF;
        syscall(SYS_kill, getpid(), SIGKILL);
    }
    if (mode != FAIL && mode != FAIL_ONCE) return PASS;
    int no_room = error_number == ENOSPC || error_number == EDQUOT;
    if (no_room && kind == FREES) return PASS;   /* a full disk lets things go */
    if (*room && access(room, F_OK) == 0) { errno = saved; return PASS; }
    errno = saved;
    if (by_half) { was_short = 1; return HALF; }
    if (here || (mode == FAIL && number > limit) || (short_before && number == limit + 1)) {
        errno = error_number;
        return REFUSE;
    }
    return PASS;
}

/* What was written by half: the end of the process, or a short count as a disk gives that fills up. */
static ssize_t halved(ssize_t written) {
    if (mode == KILL) syscall(SYS_kill, getpid(), SIGKILL);
    return written;
}

#define WRITER(type, name, params, args, half_args) \
    type name params { \
        NEXT(name); \
        int what = judge(#name, fd, NULL, TAKES | WRITES); \
        if (what == REFUSE) return -1; \
        if (what == HALF) { \
            if (size / 2 == 0 && mode != KILL) { errno = error_number; return -1; } \
            return halved(size / 2 ? next half_args : 0); \
        } \
        return next args; \
    }
WRITER(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size), (fd, data, size / 2))
WRITER(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at), (fd, data, size / 2, at))
WRITER(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at), (fd, data, size / 2, at))
WRITER(ssize_t, writev, (int fd, const struct iovec *parts, int size), (fd, parts, size), (fd, parts, size / 2))
WRITER(ssize_t, copy_file_range, (int from, off64_t *start, int fd, off64_t *at, size_t size, unsigned flags),
       (from, start, fd, at, size, flags), (from, start, fd, at, size / 2, flags))
WRITER(ssize_t, sendfile, (int fd, int from, off_t *start, size_t size), (fd, from, start, size), (fd, from, start, size / 2))
WRITER(ssize_t, sendfile64, (int fd, int from, off64_t *start, size_t size), (fd, from, start, size), (fd, from, start, size / 2))

#define ORDINARY(type, name, params, args, folder, path, kind) \
    type name params { \
        NEXT(name); \
        return judge(#name, folder, path, kind) == REFUSE ? -1 : next args; \
    }
ORDINARY(int, fsync, (int fd), (fd), fd, NULL, TAKES)
ORDINARY(int, fdatasync, (int fd), (fd), fd, NULL, TAKES)
ORDINARY(int, ftruncate, (int fd, off_t size), (fd, size), fd, NULL, FREES)
ORDINARY(int, ftruncate64, (int fd, off64_t size), (fd, size), fd, NULL, FREES)
ORDINARY(int, rename, (const char *from, const char *to), (from, to), AT_FDCWD, to, TAKES)
ORDINARY(int, renameat, (int one, const char *from, int other, const char *to), (one, from, other, to), other, to, TAKES)
ORDINARY(int, renameat2, (int one, const char *from, int other, const char *to, unsigned flags),
         (one, from, other, to, flags), other, to, TAKES)
ORDINARY(int, link, (const char *from, const char *to), (from, to), AT_FDCWD, to, TAKES)
ORDINARY(int, linkat, (int one, const char *from, int other, const char *to, int flags),
         (one, from, other, to, flags), other, to, TAKES)
ORDINARY(int, symlink, (const char *from, const char *to), (from, to), AT_FDCWD, to, TAKES)
ORDINARY(int, mkdir, (const char *path, mode_t bits), (path, bits), AT_FDCWD, path, TAKES)
ORDINARY(int, mkdirat, (int folder, const char *path, mode_t bits), (folder, path, bits), folder, path, TAKES)
ORDINARY(int, unlink, (const char *path), (path), AT_FDCWD, path, FREES)
ORDINARY(int, unlinkat, (int folder, const char *path, int flags), (folder, path, flags), folder, path, FREES)
ORDINARY(int, rmdir, (const char *path), (path), AT_FDCWD, path, FREES)

/* posix_fallocate gives the error back instead of setting errno. */
int posix_fallocate64(int fd, off64_t at, off64_t size) {
    NEXT(posix_fallocate64);
    return judge("posix_fallocate64", fd, NULL, TAKES) == REFUSE ? error_number : next(fd, at, size);
}

#define CHANGES(flags) ((flags) & (O_CREAT | O_WRONLY | O_RDWR | O_TRUNC))
/* Opening what is there needs no room; whether it is there, a disk that is only read does not ask. */
static int refused(const char *call, int folder, const char *path, int flags) {
    if (!CHANGES(flags)) return 0;
    return judge(call, folder, path, flags & O_CREAT ? TAKES : FREES) == REFUSE;
}

#define OPENER(name, folder, params, head) \
    int name params { \
        NEXT(name); \
        mode_t bits = 0; \
        if (flags & (O_CREAT | __O_TMPFILE)) { \
            va_list more; \
            va_start(more, flags); \
            bits = va_arg(more, mode_t); \
            va_end(more); \
        } \
        return refused(#name, folder, path, flags) ? -1 : next head; \
    }
OPENER(open, AT_FDCWD, (const char *path, int flags, ...), (path, flags, bits))
OPENER(open64, AT_FDCWD, (const char *path, int flags, ...), (path, flags, bits))
OPENER(openat, folder, (int folder, const char *path, int flags, ...), (folder, path, flags, bits))
OPENER(openat64, folder, (int folder, const char *path, int flags, ...), (folder, path, flags, bits))
ORDINARY(int, creat, (const char *path, mode_t bits), (path, bits), AT_FDCWD, path, TAKES)
ORDINARY(int, creat64, (const char *path, mode_t bits), (path, bits), AT_FDCWD, path, TAKES)
