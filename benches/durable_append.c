/* The minimum for a disk: messages that are stored together are appended to one file, and its data is synced. */

#include "durable.h"

#include "bench.h"
#include "mqtt.h"

#include <fcntl.h>
#include <unistd.h>

static int file;

void keep_open(const char *directory)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/all", directory);
    file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    need(file >= 0, path);
}

void keep(unsigned count)
{
    static const char message[] = TOPIC PAYLOAD;

    while (count-- > 0)
        need(write(file, message, sizeof message) == sizeof message, "writing");
    need(fdatasync(file) == 0, "syncing");
}
