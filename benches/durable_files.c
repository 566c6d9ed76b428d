/*
 * The minimum for a file system: messages that are stored together are written to a new file, which is synced and
 * renamed, and the directory is synced.
 */

#include "durable.h"

#include "bench.h"
#include "mqtt.h"

#include <fcntl.h>
#include <unistd.h>

static int directory;

void keep_open(const char *path)
{
    directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    need(directory >= 0, path);
}

void keep(unsigned count)
{
    static const char message[] = TOPIC PAYLOAD;
    static unsigned number;
    char name[32];
    int file = openat(directory, "new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    need(file >= 0, "a new file");
    while (count-- > 0)
        need(write(file, message, sizeof message) == sizeof message, "writing");
    need(fsync(file) == 0 && close(file) == 0, "syncing the file");
    snprintf(name, sizeof name, "%u", number++);
    need(renameat(directory, "new", directory, name) == 0 && fsync(directory) == 0, "renaming");
}
