/*
 * The partition is two sectors, one of which is in use:
 *
 *     sector  magic (4)  sequence (4)  CRC (4)  unused (4)  record  record  ...  erased
 *     record  CRC (4)  key length (1)  0 (1)  value length (2)  key  value  padding to UNIT      (little endian)
 *
 * A store appends a record; the newest record of a key counts, one without a value says that the key is erased. When the
 * sector is full, the newest record of each key is copied to the other, whose header is written last: with it, that one
 * has the higher sequence and is in use. So at whatever byte the power goes, what was stored before is there, and the
 * record that was being written is there as a whole or does not count.
 *
 * What a power cut left is never written on: the next store goes to the other sector. So a record that does not check,
 * with good ones behind it, is no power cut but damage. Damage to the newest record, or to the header in use, looks like
 * a power cut: that is for the flash driver's ECC to find; let flash_read() fail then.
 */
#define _POSIX_C_SOURCE 200809L /* before the first #include: fsync(), pread(), pwrite() */

#include "flash_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef SECTOR
#define SECTOR 16384u    /* what the flash erases at once, or a multiple */
#endif
#define UNIT 16u         /* what it programs at once: a record begins at a multiple */
#define SECTOR_HEADER 16u
#define RECORD_HEADER 8u
#define KEY_MAX 64u      /* libenos has no longer keys */
#define RECORD_MAX 2048u /* hardly any of its values is above 1 KiB */
#define ERASED 0xFF
static const uint8_t MAGIC[4] = {'E', 'F', 'S', '1'};

typedef struct flash_store {
    int fd;
    uint32_t sector;   /* the one in use: 0 or SECTOR */
    uint32_t sequence; /* its number */
    uint32_t end;      /* where its log ends: the next record goes there */
    int dirty;         /* what lies at the end is not erased */
    uint8_t record[RECORD_MAX];
    uint8_t moving[RECORD_MAX];
} flash_store;

/* ---------------------------------------------------------------- the flash driver: 0, or a negated errno */

static int flash_read(flash_store *s, uint32_t at, uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = pread(s->fd, data, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0) { /* behind the end of the file */
            memset(data, ERASED, len);
            return 0;
        }
        at += (uint32_t)n, data += n, len -= (size_t)n;
    }
    return 0;
}

/* The bytes must be erased. They have reached the flash, not only a cache, when this returns. */
static int flash_program(flash_store *s, uint32_t at, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = pwrite(s->fd, data, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        at += (uint32_t)n, data += n, len -= (size_t)n;
    }
    return fsync(s->fd) == 0 ? 0 : -errno;
}

static int flash_erase(flash_store *s, uint32_t sector)
{
    int result = 0;

    memset(s->record, ERASED, RECORD_MAX);
    for (uint32_t at = 0; at < SECTOR && result == 0; at += RECORD_MAX)
        result = flash_program(s, sector + at, s->record, RECORD_MAX);
    return result;
}

/* ---------------------------------------------------------------- bytes */

static uint32_t get32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put32(uint8_t *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t crc32(const uint8_t *p, size_t len)
{
    uint32_t crc = 0xFFFFFFFFu;
    while (len-- > 0) {
        crc ^= *p++;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xEDB88320u & (0u - (crc & 1u)));
    }
    return ~crc;
}

static size_t key_len(const uint8_t *record)
{
    return record[4];
}

static size_t value_len(const uint8_t *record)
{
    return record[6] | (size_t)record[7] << 8;
}

static size_t record_len(const uint8_t *record)
{
    return RECORD_HEADER + key_len(record) + value_len(record);
}

/* What a record of this length takes in the log. */
static uint32_t padded(size_t len)
{
    return (uint32_t)((len + UNIT - 1) / UNIT * UNIT);
}

/* ---------------------------------------------------------------- the log */

/* Reads a record. 1: it checks, 0: it does not, negative: the flash failed. */
static int read_record(flash_store *s, uint32_t sector, uint32_t at, uint8_t *record)
{
    size_t space = SECTOR - at < RECORD_MAX ? SECTOR - at : RECORD_MAX;
    int result;

    if (space < RECORD_HEADER)
        return 0;
    if ((result = flash_read(s, sector + at, record, RECORD_HEADER)) < 0)
        return result;
    if (key_len(record) == 0 || key_len(record) > KEY_MAX || record_len(record) > space)
        return 0;
    result = flash_read(s, sector + at + RECORD_HEADER, record + RECORD_HEADER, record_len(record) - RECORD_HEADER);
    if (result < 0)
        return result;
    return get32(record) == crc32(record + 4, record_len(record) - 4);
}

/* As read_record(), where there is a record: they all did check when the store was opened. */
static int reread_record(flash_store *s, uint32_t at, uint8_t *record)
{
    int result = read_record(s, s->sector, at, record);
    return result == 1 ? 0 : result == 0 ? -EIO : result;
}

/* The place of a key's newest record; 0 if it has none. */
static int find(flash_store *s, const char *key, size_t len, uint32_t *place)
{
    *place = 0;
    for (uint32_t at = SECTOR_HEADER; at < s->end; at += padded(record_len(s->record))) {
        int result = reread_record(s, at, s->record);
        if (result < 0)
            return result;
        if (key_len(s->record) == len && memcmp(s->record + RECORD_HEADER, key, len) == 0)
            *place = at;
    }
    return 0;
}

static int append(flash_store *s, const char *key, const uint8_t *data, size_t len)
{
    size_t length = RECORD_HEADER + strlen(key) + len;
    int result;

    memset(s->record, ERASED, padded(length));
    s->record[4] = (uint8_t)strlen(key);
    s->record[5] = 0;
    s->record[6] = (uint8_t)len;
    s->record[7] = (uint8_t)(len >> 8);
    memcpy(s->record + RECORD_HEADER, key, strlen(key));
    if (len > 0)
        memcpy(s->record + RECORD_HEADER + strlen(key), data, len);
    put32(s->record, crc32(s->record + 4, length - 4));
    result = flash_program(s, s->sector + s->end, s->record, padded(length));
    if (result < 0)
        s->dirty = 1; /* nobody knows how far it came */
    else
        s->end += padded(length);
    return result;
}

/* Puts a sector with its records in place into use. */
static int begin_sector(flash_store *s, uint32_t sector, uint32_t sequence, uint32_t end)
{
    uint8_t header[SECTOR_HEADER];
    int result;

    memset(header, ERASED, sizeof header);
    memcpy(header, MAGIC, sizeof MAGIC);
    put32(header + 4, sequence);
    put32(header + 8, crc32(header, 8));
    if ((result = flash_program(s, sector, header, sizeof header)) < 0)
        return result;
    s->sector = sector;
    s->sequence = sequence;
    s->end = end;
    s->dirty = 0;
    return 0;
}

/* Copies what counts to the other sector, and goes on there. Until its header stands, nothing has changed. */
static int compact(flash_store *s)
{
    uint32_t target = SECTOR - s->sector, to = SECTOR_HEADER, length, newest;
    uint8_t *record = s->moving;
    int result;

    s->dirty = 1; /* should this fail at its end, the other sector may count already: write nothing more to this one */
    result = flash_erase(s, target);
    for (uint32_t at = SECTOR_HEADER; result == 0 && at < s->end; at += length) {
        if ((result = reread_record(s, at, record)) < 0)
            break;
        length = padded(record_len(record));
        result = find(s, (const char *)record + RECORD_HEADER, key_len(record), &newest);
        if (result < 0 || at != newest || value_len(record) == 0)
            continue;
        memset(record + record_len(record), ERASED, length - record_len(record));
        result = flash_program(s, target + to, record, length);
        to += length;
    }
    return result < 0 ? result : begin_sector(s, target, s->sequence + 1, to);
}

/* Whether nothing but these bytes stands there. 1, 0, or negative. */
static int all_are(flash_store *s, uint32_t from, uint32_t to, uint8_t one, uint8_t other)
{
    for (uint32_t at = from; at < to; at += UNIT) {
        uint8_t unit[UNIT];
        int result = flash_read(s, at, unit, UNIT);
        if (result < 0)
            return result;
        for (unsigned i = 0; i < UNIT; i++)
            if (unit[i] != one && unit[i] != other)
                return 0;
    }
    return 1;
}

/* Makes the partition ready on its first use. What a power cut left of this may be all that there is. */
static int format(flash_store *s)
{
    int result = all_are(s, SECTOR_HEADER, 2 * SECTOR, ERASED, 0);

    if (result == 0)
        return -EINVAL; /* somebody's data */
    if (result < 0 || (result = flash_erase(s, 0)) < 0)
        return result;
    return begin_sector(s, 0, 1, SECTOR_HEADER);
}

/* Finds the sector in use and the end of its log. */
static int mount(flash_store *s)
{
    uint8_t header[SECTOR_HEADER];
    int result;

    s->sequence = 0;
    for (uint32_t sector = 0; sector <= SECTOR; sector += SECTOR) {
        if ((result = flash_read(s, sector, header, sizeof header)) < 0)
            return result;
        if (memcmp(header, MAGIC, sizeof MAGIC) == 0 && get32(header + 8) == crc32(header, 8) &&
            get32(header + 4) > s->sequence) {
            s->sector = sector;
            s->sequence = get32(header + 4);
        }
    }
    if (s->sequence == 0)
        return format(s);

    s->end = SECTOR_HEADER;
    while ((result = read_record(s, s->sector, s->end, s->record)) == 1)
        s->end += padded(record_len(s->record));
    if (result == 0)
        result = all_are(s, s->sector + s->end, s->sector + SECTOR, ERASED, ERASED);
    s->dirty = result == 0;
    for (uint32_t at = s->end; result == 0 && at < SECTOR; at += UNIT)
        if ((result = read_record(s, s->sector, at, s->record)) == 1)
            return -EIO; /* damage: see above */
    return result < 0 ? result : 0;
}

/* ---------------------------------------------------------------- what libenos calls */

static int32_t load(void *ctx, const char *key, uint8_t *buf, size_t cap, size_t *out_len)
{
    flash_store *s = ctx;
    uint32_t at;
    int result = find(s, key, strlen(key), &at);

    if (result == 0 && at != 0)
        result = reread_record(s, at, s->record);
    if (result < 0)
        return result;
    if (at == 0 || value_len(s->record) == 0)
        return ENOS_STORAGE_NOT_FOUND;
    *out_len = value_len(s->record);
    if (*out_len > cap)
        return ENOS_STORAGE_TOO_SMALL;
    memcpy(buf, s->record + RECORD_HEADER + key_len(s->record), *out_len);
    return ENOS_STORAGE_OK;
}

static int32_t store(void *ctx, const char *key, const uint8_t *data, size_t len)
{
    flash_store *s = ctx;
    uint32_t reserve = len > 0 ? padded(RECORD_HEADER + KEY_MAX) : 0; /* there is always room to erase a key */
    uint32_t need = padded(RECORD_HEADER + strlen(key) + len) + reserve;
    int result;

    if (strlen(key) > KEY_MAX || len > RECORD_MAX - RECORD_HEADER - KEY_MAX)
        return -EFBIG;
    if (s->dirty || need > SECTOR - s->end)
        if ((result = compact(s)) < 0)
            return result;
    if (need > SECTOR - s->end)
        return -ENOSPC;
    return append(s, key, data, len);
}

static int32_t erase(void *ctx, const char *key)
{
    flash_store *s = ctx;
    uint32_t at;
    int result = find(s, key, strlen(key), &at);

    return result < 0 || at == 0 ? result : store(s, key, NULL, 0);
}

static void release(void *ctx)
{
    close(((flash_store *)ctx)->fd);
    free(ctx);
}

/* A new file is there after a power cut once its directory is synced. */
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

/* One process at a time: the lock goes when the file is closed, or the process dies. */
static int open_partition(flash_store *s, const char *path)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    s->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (s->fd < 0)
        return -errno;
    if (fcntl(s->fd, F_SETLK, &lock) != 0)
        return errno == EACCES || errno == EAGAIN ? -EBUSY : -errno;
    return sync_directory(path);
}

int flash_store_open(const char *path, enos_storage *storage)
{
    flash_store *s = calloc(1, sizeof *s);
    int result;

    if (s == NULL)
        return -ENOMEM;
    if ((result = open_partition(s, path)) == 0 && (result = mount(s)) == 0) {
        ENOS_INIT(storage);
        storage->ctx = s;
        storage->load = load;
        storage->store = store;
        storage->erase = erase;
        storage->release = release;
        return 0;
    }
    if (s->fd >= 0)
        close(s->fd);
    free(s);
    return result;
}
