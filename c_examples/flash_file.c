#define _POSIX_C_SOURCE 200809L /* before the first #include: fsync(), pread(), pwrite() */

#include "flash_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ERASED 0xFF
#define BLANK 512u

int flash_read(int flash, uint32_t at, uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = pread(flash, data, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0) { /* beyond the end of the file */
            memset(data, ERASED, len);
            return 0;
        }
        at += (uint32_t)n, data += n, len -= (size_t)n;
    }
    return 0;
}

int flash_program(int flash, uint32_t at, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = pwrite(flash, data, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        at += (uint32_t)n, data += n, len -= (size_t)n;
    }
    return 0;
}

int flash_sync(int flash)
{
    return fsync(flash) == 0 ? 0 : -errno;
}

int flash_erase(int flash, uint32_t at, size_t len)
{
    uint8_t blank[BLANK];
    int result = 0;

    memset(blank, ERASED, sizeof blank);
    for (uint32_t end = at + (uint32_t)len; at < end && result == 0; at += BLANK)
        result = flash_program(flash, at, blank, BLANK);
    return result < 0 ? result : flash_sync(flash);
}

/* A new file survives a power cut only after its directory is synced. */
static int sync_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
    int fd = directory == NULL ? -1 : open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = -errno;

    free(directory);
    if (fd < 0)
        return result;
    result = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return result;
}

/* One process at a time: the lock is released when the file is closed, or the process dies. */
int flash_open(const char *path, int *flash)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR), result;

    if (fd < 0)
        return -errno;
    if (fcntl(fd, F_SETLK, &lock) != 0)
        result = errno == EACCES || errno == EAGAIN ? -EBUSY : -errno;
    else
        result = sync_directory(path);
    if (result < 0)
        close(fd);
    else
        *flash = fd;
    return result;
}

void flash_close(int flash)
{
    close(flash);
}
