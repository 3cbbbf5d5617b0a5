/* POSIX, and Linux where it knows more.  A mapping outlives its descriptor, so none is left open,
 * however os_map_file ends. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "runtime/os.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int os_cpu_count(void)
{
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
#endif
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 && n < 1024 ? (int)n : 1;
}

anf_status os_map_file(const char *path, struct os_map *out)
{
    *out = (struct os_map){0};
    /* Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        FAIL(IO, "%s: cannot open: %s", path, strerror(errno));
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        FAIL(IO, "%s: only a regular file can be mapped", path);
    }
    if (st.st_size == 0) {
        close(fd);
        FAIL(FORMAT, "%s: the file is empty", path);
    }
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    int why = errno;
    close(fd);
    if (p == MAP_FAILED)
        FAIL(IO, "%s: cannot map: %s", path, strerror(why));
    out->data = p;
    out->n_bytes = (size_t)st.st_size;
    return ANF_OK;
}

void os_unmap(struct os_map *m)
{
    if (m->n_bytes) {
        union {
            const void *in;
            void *out;
        } p = {m->data};
        munmap(p.out, m->n_bytes);
    }
    *m = (struct os_map){0};
}
