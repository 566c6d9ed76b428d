/*
 * Takes each firmware that EnOS offers: downloads it to a file, installs it by a rename, and restarts into it.
 *
 *     ENOS_PRODUCT_SECRET=... 15_ota SERVER PRODUCT_KEY DEVICE_KEY DIRECTORY
 *
 * In the working directory are system.img, which "runs" (its first line is its version; without it that is 1.0), and while
 * a download lasts slot.img with what is there of it and slot.info, which tells of which image. The program may be killed
 * at any time: the next start continues. It needs a library with ENOS_FEATURE_OTA. It ends at SIGINT or SIGTERM.
 */
#define _POSIX_C_SOURCE 200809L

#include "example.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

typedef struct device {
    const char *key;
    int slot; /* the descriptor of slot.img; -1: none */
    uint64_t download;
    enos_firmware *firmware; /* the one that is downloaded */
    int restarts;
} device;

/* -- The sink: slot.img and slot.info -- */

/* Which image the slot has, as text. */
static void describe(const enos_firmware *firmware, char *text, size_t size)
{
    snprintf(text, size, "%s\n%" PRIu64 "\n%s\n%s\n", enos_firmware_version(firmware), enos_firmware_size(firmware),
             enos_firmware_sign_method(firmware), enos_firmware_sign(firmware));
}

static int sync_directory(void)
{
    int fd = open(".", O_RDONLY | O_DIRECTORY), result = -1;

    if (fd >= 0) {
        result = fsync(fd);
        close(fd);
    }
    return result;
}

static int reads_as(const char *path, const char *text)
{
    char found[2048];
    FILE *file = fopen(path, "r");
    size_t len = file == NULL ? 0 : fread(found, 1, sizeof found, file);

    if (file != NULL)
        fclose(file);
    return len == strlen(text) && memcmp(found, text, len) == 0;
}

static int store(const char *path, const char *text)
{
    FILE *file = fopen("new", "w");
    int written = file != NULL && fputs(text, file) >= 0 && fflush(file) == 0 && fsync(fileno(file)) == 0;

    return file != NULL && fclose(file) == 0 && written && rename("new", path) == 0 ? sync_directory() : -1;
}

static int32_t begin(void *ctx, const enos_firmware *firmware, uint64_t *resume_at)
{
    device *self = ctx;
    struct statvfs disk;
    struct stat slot;
    char text[2048];

    self->slot = open("slot.img", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (self->slot < 0)
        return -errno;
    describe(firmware, text, sizeof text);
    /* What was there before goes first: after a power cut it must not pass for this image. */
    if (!reads_as("slot.info", text) &&
        (ftruncate(self->slot, 0) != 0 || fsync(self->slot) != 0 || store("slot.info", text) != 0))
        return -errno;
    if (fstat(self->slot, &slot) != 0 || fstatvfs(self->slot, &disk) != 0)
        return -errno;
    *resume_at = (uint64_t)slot.st_size;
    if (enos_firmware_size(firmware) > (uint64_t)disk.f_bavail * disk.f_frsize + *resume_at)
        return -ENOSPC;
    return ENOS_SINK_OK;
}

static int32_t block(void *ctx, uint64_t offset, const uint8_t *data, size_t len)
{
    device *self = ctx;

    if (offset == 0 && ftruncate(self->slot, 0) != 0)
        return -errno;
    while (len > 0) {
        ssize_t written = pwrite(self->slot, data, len, (off_t)offset);

        if (written < 0)
            return -errno;
        offset += (uint64_t)written;
        data += written;
        len -= (size_t)written;
    }
    /* What a power cut takes has to be fetched again: a megabyte at most. */
    return offset % (1 << 20) == 0 && fdatasync(self->slot) != 0 ? -errno : ENOS_SINK_OK;
}

static int32_t read_back(void *ctx, uint64_t offset, uint8_t *buffer, size_t len)
{
    device *self = ctx;

    while (len > 0) {
        ssize_t there = pread(self->slot, buffer, len, (off_t)offset);

        if (there <= 0)
            return there < 0 ? -errno : -EIO;
        offset += (uint64_t)there;
        buffer += there;
        len -= (size_t)there;
    }
    return ENOS_SINK_OK;
}

/* An installer that takes long would be started here, with ENOS_SINK_LATER. */
static int32_t verified(void *ctx, const enos_firmware *firmware)
{
    device *self = ctx;

    (void)firmware;
    if (fsync(self->slot) != 0 || rename("slot.img", "system.img") != 0 || sync_directory() != 0)
        return -errno;
    close(self->slot);
    unlink("slot.info");
    return ENOS_SINK_OK;
}

static void failed(void *ctx, const enos_firmware *firmware, enos_status status)
{
    device *self = ctx;

    (void)firmware;
    close(self->slot);
    if (status != ENOS_ERR_CANCELLED && status != ENOS_ERR_REFUSED) {
        unlink("slot.img");
        unlink("slot.info");
    }
}

/* -- The device -- */

static void download(device *self, enos_client *client, const enos_firmware *firmware)
{
    enos_ota_sink sink;

    ENOS_INIT(&sink);
    sink.ctx = self;
    sink.begin = begin;
    sink.block = block;
    sink.read = read_back;
    sink.verified = verified;
    sink.failed = failed;
    if (enos_ota_download(client, firmware, &sink, NULL, &self->download) != ENOS_OK) {
        fail("no download");
        enos_ota_report(client, firmware, -2, enos_last_error(), NULL);
        return;
    }
    enos_firmware_copy(firmware, &self->firmware);
}

/* The outcome of the download. */
static void downloaded(device *self, enos_client *client, const enos_event *event)
{
    self->download = 0;
    if (event->status == ENOS_OK && enos_ota_installed(client, self->firmware) == ENOS_OK) {
        self->restarts = 1;
        kill(getpid(), SIGTERM); /* ends the loop in order, as an init system does */
    }
    enos_firmware_free(self->firmware);
    self->firmware = NULL;
}

static void on_event(void *ctx, enos_client *client, const enos_event *event)
{
    device *self = ctx;
    int state = enos_firmware_get_state(event->firmware);

    tell(self->key, event);
    if (event->type == ENOS_EVENT_OTA_OFFER && self->download == 0 &&
        (state == ENOS_FIRMWARE_OFFERED || state == ENOS_FIRMWARE_VERIFIED))
        download(self, client, event->firmware);
    else if (event->type == ENOS_EVENT_OTA && event->token != 0 && event->token == self->download &&
             (event->status != ENOS_OK || event->detail_code == 100))
        downloaded(self, client, event);
}

int main(int argc, char **argv)
{
    device self = {.key = argc > 3 ? argv[3] : NULL, .slot = -1};
    char version[128] = "1.0";
    FILE *system = fopen("system.img", "r");
    int result;

    if (system != NULL) {
        if (fgets(version, sizeof version, system) != NULL)
            version[strcspn(version, "\n")] = '\0';
        fclose(system);
    }
    setenv("ENOS_FIRMWARE_VERSION", version, 1); /* for create() in example.c */
    printf("version %s runs\n", version);
    result = run_example(argc, argv, on_event, NULL, &self);
    enos_firmware_free(self.firmware);
    if (result == 0 && self.restarts) {
        printf("restart\n");
        fflush(stdout);
        execvp(argv[0], argv); /* in place of reboot(2) */
        perror("restart");
        return 1;
    }
    return result;
}
