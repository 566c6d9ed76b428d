/* c_examples/flash_store.c on a flash in memory, which simulates power cuts within any write, and failures. */
#ifndef FLASH_H
#define FLASH_H

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define SECTOR 4096u /* small, so that sectors change often */
#define SECTORS 4u
#define IMAGE_SIZE (SECTORS * SECTOR)

/* A recorded write, which a power cut can interrupt. */
enum tear { TAIL_MISSING, HEAD_MISSING, TAIL_GARBLED, TEARS };

typedef struct written {
    uint32_t at, len;
    int operation; /* the operation that wrote it */
    uint8_t data[2048];
} written;

static uint8_t image[IMAGE_SIZE];
static size_t image_len = IMAGE_SIZE; /* the file's length: data beyond it cannot be read */
static long bytes_left = -1;          /* until the power cut; -1: none */
static long calls_left = -1;          /* until the flash fails, once; -1: never */
static int failures;                  /* failed writes so far */
static int header_disowned;           /* a sector's header is written, but the flash reports a failure */
static enum tear tear = TAIL_MISSING;
static int programmed_twice; /* a byte was programmed that was not erased */
static written *trace;       /* where writes are recorded, if not NULL */
static size_t trace_len;
static int operation;
static unsigned erasures[SECTORS]; /* erasures begun so far */

static int flash_fails(void)
{
    if (calls_left < 0 || calls_left-- > 0)
        return 0;
    errno = EIO;
    return 1;
}

static ssize_t image_pread(int fd, void *data, size_t len, off_t at)
{
    size_t begin = (size_t)at, n = begin >= image_len ? 0 : image_len - begin;

    (void)fd;
    if (flash_fails())
        return -1;
    n = n < len ? n : len;
    memcpy(data, image + begin, n);
    return (ssize_t)n;
}

/* Writes the part of `data` that is there after a power cut after `done` bytes. */
static void image_tear(size_t at, const uint8_t *data, size_t len, size_t done)
{
    if (tear == HEAD_MISSING) {
        memcpy(image + at + (len - done), data + (len - done), done);
        return;
    }
    memcpy(image + at, data, done);
    for (size_t i = done; tear == TAIL_GARBLED && i < len && i < done + 40; i++)
        image[at + i] &= (uint8_t)(data[i] | (i * 37u)); /* some bits are programmed, some are not yet */
}

static ssize_t image_pwrite(int fd, const void *data, size_t len, off_t at)
{
    const uint8_t *bytes = data;
    int erasing = 1;

    (void)fd;
    for (size_t i = 0; i < len; i++)
        erasing &= bytes[i] == 0xFF;
    if (erasing && at % (off_t)SECTOR == 0)
        erasures[at / (off_t)SECTOR]++;
    for (size_t i = 0; i < len && !erasing; i++)
        programmed_twice |= image[(size_t)at + i] != 0xFF;
    if (flash_fails()) {
        image_tear((size_t)at, bytes, len, len * (size_t)(failures++ % 3) / 2); /* nothing, half, or all was written */
        return -1;
    }
    if (trace != NULL) {
        written *w = &trace[trace_len++];
        w->at = (uint32_t)at, w->len = (uint32_t)len, w->operation = operation;
        memcpy(w->data, data, len);
    }
    if (bytes_left >= 0 && (size_t)bytes_left < len) {
        image_tear((size_t)at, bytes, len, (size_t)bytes_left);
        bytes_left = 0;
        errno = EIO;
        return -1;
    }
    if (bytes_left > 0)
        bytes_left -= (long)len;
    memcpy(image + at, data, len);
    if (header_disowned && !erasing && at % (off_t)SECTOR == 0) {
        errno = EIO;
        return -1;
    }
    return (ssize_t)len;
}

#define pread image_pread
#define pwrite image_pwrite
#define fsync(fd) ((void)(fd), 0)
#include "../../c_examples/flash_file.c"
#include "../../c_examples/flash_store.c"
#undef fsync

#define FLASH_FILE "flash"

/* Starts the device; returns 0, or the error of flash_store_open(). */
static int power_on(enos_storage *storage)
{
    bytes_left = calls_left = -1;
    return flash_store_open(FLASH_FILE, storage);
}

static void power_off(enos_storage *storage)
{
    storage->release(storage->ctx);
}

static void new_flash(void)
{
    memset(image, 0xFF, sizeof image);
    image_len = IMAGE_SIZE;
    memset(erasures, 0, sizeof erasures);
}

#endif
