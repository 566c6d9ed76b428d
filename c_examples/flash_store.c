/*
 * The partition is a ring of sectors. Records are appended to the newest sector; all other sectors except one hold
 * older records:
 *
 *     sector  magic (4)  sequence (4)  end of the sector before (4)  CRC (4)  record  record  ...  erased
 *     record  CRC (4)  key length (1)  0 (1)  value length (2)  key  value  padding to UNIT      (little endian)
 *
 * The newest record of a key is valid; a record without a value means that the key is erased. An index in RAM has the
 * offsets of the valid records. When the newest sector is full, the log continues in the next sector of the ring: it is
 * erased, the valid records of the sector after it, the oldest, are copied to it, and its header is written last. With
 * the header it becomes the newest sector, and the oldest is not used any more. So after a power cut at any byte all
 * stored records are there, and the record that was being written is either complete or ignored.
 *
 * Every sector is erased in turn, so the erase counts differ by one, whatever is stored; a power cut may add one. Data
 * that never changes is moved once a round. Valid records use at most three quarters of the space, and one record at
 * most a quarter of a sector. So a round always finds space, and a key can be erased when the store is full.
 *
 * Space that was in use during a power cut is never programmed again: the next change goes to the next sector, whose
 * header says where the log ended in the sector before. So a record with a wrong CRC that has good records behind it is
 * damaged, and not the result of a power cut. Damage to the newest record, or to the newest header, looks like a power
 * cut. The flash driver's ECC has to find that, and flash_read() has to fail then.
 */
#include "flash_store.h"

#include "flash_file.h"

#include <errno.h>
#include <stdlib.h>

#ifndef SECTOR
#define SECTOR 16384u /* the erase size of the flash, or a multiple */
#define SECTORS 16u   /* in the partition: 4 or more */
#endif
#define KEYS_MAX 1024u /* in the index: 12 bytes of RAM each */
#define UNIT 16u       /* the programming size of the flash: records begin at multiples */
#define SECTOR_HEADER 16u
#define RECORD_HEADER 8u
#define KEY_MAX 64u /* the longest key of libenos */
#define RECORD_MAX ((SECTOR - SECTOR_HEADER) / 4 / UNIT * UNIT)
#define LIVE_MAX ((SECTORS - 1) * ((SECTOR - SECTOR_HEADER) / 4 * 3))
#define ERASED 0xFF
static const uint8_t MAGIC[4] = {'E', 'F', 'S', '2'};

typedef struct entry {
    uint32_t hash, at, size; /* hash of the key; offset of its newest record, and its size in the log */
} entry;

typedef struct flash_store {
    int flash;
    uint32_t sequence; /* of the newest sector */
    uint32_t end;      /* end of its log: offset of the next record */
    int dirty;         /* the space at the end may not be erased */
    uint32_t live;     /* the size of all valid records */
    uint32_t keys;     /* in the index, which has no order */
    entry index[KEYS_MAX];
    uint8_t record[RECORD_MAX];
} flash_store;

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

/*
 * Four bits at a time, with a table of 64 bytes: bit by bit, this would take most of the time of a start and a store.
 */
static uint32_t crc32(const uint8_t *p, size_t len)
{
    static const uint32_t table[16] = {0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4,
                                       0x4DB26158, 0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
                                       0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C};
    uint32_t crc = 0xFFFFFFFFu;

    while (len-- > 0) {
        crc ^= *p++;
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
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

/* The size of a record of this length in the log. */
static uint32_t padded(size_t len)
{
    return (uint32_t)((len + UNIT - 1) / UNIT * UNIT);
}

/* The offset of the sector with this sequence number. */
static uint32_t place(uint32_t sequence)
{
    return (sequence - 1) % SECTORS * SECTOR;
}

static int is_in(const entry *known, uint32_t sector)
{
    return known->at >= sector && known->at < sector + SECTOR;
}

/* ---------------------------------------------------------------- the log */

/*
 * Reads the record at `at`, which ends before `limit`. Returns 1 if its CRC is right, 0 if not, negative if the flash
 * failed.
 */
static int read_record(flash_store *s, uint32_t at, uint32_t limit)
{
    size_t space = limit - at < RECORD_MAX ? limit - at : RECORD_MAX;
    uint8_t *record = s->record;
    int result;

    if (space < RECORD_HEADER)
        return 0;
    if ((result = flash_read(s->flash, at, record, RECORD_HEADER)) < 0)
        return result;
    if (key_len(record) == 0 || key_len(record) > KEY_MAX || record_len(record) > space)
        return 0;
    if ((result = flash_read(s->flash, at, record, record_len(record))) < 0)
        return result;
    return get32(record) == crc32(record + 4, record_len(record) - 4);
}

/* As read_record(), for a record in the index. Its CRC was right when it was indexed. */
static int reread_record(flash_store *s, const entry *known)
{
    int result = read_record(s, known->at, known->at + known->size);
    return result == 1 ? 0 : result == 0 ? -EIO : result;
}

/* Sets *i to the index entry of a key; to s->keys if there is none. */
static int find(flash_store *s, const void *key, size_t len, uint32_t *i)
{
    uint8_t there[RECORD_HEADER + KEY_MAX];
    uint32_t wanted = crc32(key, len);

    for (*i = 0; *i < s->keys; ++*i) {
        const entry *known = &s->index[*i];
        int result;
        if (known->hash != wanted || known->size < RECORD_HEADER + len)
            continue;
        if ((result = flash_read(s->flash, known->at, there, RECORD_HEADER + len)) < 0)
            return result;
        if (key_len(there) == len && memcmp(there + RECORD_HEADER, key, len) == 0)
            return 0;
    }
    return 0;
}

/* Indexes the record in s->record, at this offset, as the newest of its key. */
static int take(flash_store *s, uint32_t at)
{
    const uint8_t *key = s->record + RECORD_HEADER;
    uint32_t i;
    int result;

    if ((result = find(s, key, key_len(s->record), &i)) < 0)
        return result;
    if (i < s->keys) {
        s->live -= s->index[i].size;
        s->index[i] = s->index[--s->keys];
    }
    if (value_len(s->record) == 0)
        return 0;
    if (s->keys == KEYS_MAX)
        return -ENOSPC; /* the partition was written with a larger KEYS_MAX */
    s->index[s->keys] = (entry){crc32(key, key_len(s->record)), at, padded(record_len(s->record))};
    s->live += s->index[s->keys++].size;
    return 0;
}

/* Writes the header of a sector whose records are in place. */
static int begin_sector(flash_store *s, uint32_t sequence, uint32_t end)
{
    uint8_t header[SECTOR_HEADER];
    int result;

    memcpy(header, MAGIC, sizeof MAGIC);
    put32(header + 4, sequence);
    put32(header + 8, s->end);
    put32(header + 12, crc32(header, 12));
    if ((result = flash_program(s->flash, place(sequence), header, sizeof header)) < 0 ||
        (result = flash_sync(s->flash)) < 0)
        return result;
    s->sequence = sequence;
    s->end = end;
    s->dirty = 0;
    return 0;
}

/*
 * Continues in the next sector, with the valid records of the oldest. Until its header is written, nothing has changed.
 */
static int advance(flash_store *s)
{
    uint32_t next = s->sequence + 1, oldest = place(next + 1), begin = place(next) + SECTOR_HEADER, to = begin;
    int result;

    s->dirty = 1; /* if this fails at its end, the next sector may already be valid: write nothing more to this one */
    result = flash_erase(s->flash, place(next), SECTOR);
    for (uint32_t i = 0; i < s->keys && result == 0; i++) {
        const entry *known = &s->index[i];
        if (!is_in(known, oldest))
            continue;
        if ((result = reread_record(s, known)) < 0)
            break;
        memset(s->record + record_len(s->record), ERASED, known->size - record_len(s->record));
        result = flash_program(s->flash, to, s->record, known->size);
        to += known->size;
    }
    if (result < 0 || (result = flash_sync(s->flash)) < 0 || (result = begin_sector(s, next, to)) < 0)
        return result;
    for (uint32_t i = 0; i < s->keys; i++)
        if (is_in(&s->index[i], oldest)) {
            s->index[i].at = begin;
            begin += s->index[i].size;
        }
    return 0;
}

/* Whether a range contains only these two byte values. Returns 1, 0, or negative. */
static int all_are(flash_store *s, uint32_t from, uint32_t to, uint8_t one, uint8_t other)
{
    for (uint32_t at = from; at < to; at += UNIT) {
        uint8_t unit[UNIT];
        int result = flash_read(s->flash, at, unit, UNIT);
        if (result < 0)
            return result;
        for (unsigned i = 0; i < UNIT; i++)
            if (unit[i] != one && unit[i] != other)
                return 0;
    }
    return 1;
}

/* Formats the partition on its first use. It may contain the beginning of a format that a power cut ended. */
static int format(flash_store *s)
{
    int result = all_are(s, SECTOR_HEADER, SECTORS * SECTOR, ERASED, 0);

    if (result == 0)
        return -EINVAL; /* other data */
    if (result < 0 || (result = flash_erase(s->flash, 0, SECTOR)) < 0)
        return result;
    return begin_sector(s, 1, SECTOR_HEADER);
}

/* Indexes a sector's records, up to `limit` or the first record with a wrong CRC, and sets s->end there. */
static int scan(flash_store *s, uint32_t sequence, uint32_t limit)
{
    int result = 1;

    for (s->end = place(sequence) + SECTOR_HEADER; s->end < limit; s->end += padded(record_len(s->record)))
        if ((result = read_record(s, s->end, limit)) != 1 || (result = take(s, s->end)) < 0)
            break;
    return result < 0 ? result : 0;
}

/* Finds the valid sectors, and the end of the log. */
static int mount(flash_store *s)
{
    uint32_t sequences[SECTORS], ends[SECTORS], oldest, limit = 0; /* by position */
    uint8_t header[SECTOR_HEADER];
    int result;

    for (uint32_t i = 0; i < SECTORS; i++) {
        if ((result = flash_read(s->flash, i * SECTOR, header, sizeof header)) < 0)
            return result;
        sequences[i] = 0;
        if (memcmp(header, MAGIC, sizeof MAGIC) != 0 || get32(header + 12) != crc32(header, 12))
            continue;
        sequences[i] = get32(header + 4);
        ends[(i + SECTORS - 1) % SECTORS] = get32(header + 8);
        if (sequences[i] > s->sequence)
            s->sequence = sequences[i];
    }
    if (s->sequence == 0)
        return format(s);

    oldest = s->sequence < SECTORS ? 1 : s->sequence - SECTORS + 2;
    for (uint32_t sequence = oldest; sequence <= s->sequence; sequence++) {
        uint32_t at = place(sequence) / SECTOR;
        int newest = sequence == s->sequence;
        if (sequences[at] != sequence || (!newest && sequences[(at + 1) % SECTORS] != sequence + 1))
            return -EIO;
        limit = newest ? place(sequence) + SECTOR : ends[at];
        if ((result = scan(s, sequence, limit)) < 0)
            return result;
        if (!newest && s->end != limit)
            return -EIO;
    }
    result = all_are(s, s->end, limit, ERASED, ERASED);
    s->dirty = result == 0;
    for (uint32_t at = s->end; result == 0 && at < limit; at += UNIT)
        if ((result = read_record(s, at, limit)) == 1)
            return -EIO; /* damage: see above */
    return result < 0 ? result : 0;
}

/* Appends a record, and indexes it when it is on the flash. */
static int append(flash_store *s, const char *key, const uint8_t *data, size_t len, int sync)
{
    size_t length = RECORD_HEADER + strlen(key) + len;
    int result;

    memset(s->record, ERASED, padded(length));
    put32(s->record + 4, (uint32_t)(strlen(key) | len << 16));
    memcpy(s->record + RECORD_HEADER, key, strlen(key));
    if (len > 0)
        memcpy(s->record + RECORD_HEADER + strlen(key), data, len);
    put32(s->record, crc32(s->record + 4, length - 4));
    result = flash_program(s->flash, s->end, s->record, padded(length));
    if (result == 0 && sync)
        result = flash_sync(s->flash);
    if (result == 0 && (result = take(s, s->end)) == 0)
        s->end += padded(length);
    else
        s->dirty = 1; /* part of it may be on the flash */
    return result;
}

/* Stores a value; if its length is 0, the key is erased. */
static int change(flash_store *s, const char *key, const uint8_t *data, size_t len, int sync)
{
    uint32_t need = padded(RECORD_HEADER + strlen(key) + len), i, freed;
    int result;

    if (strlen(key) > KEY_MAX || len > RECORD_MAX || need > RECORD_MAX)
        return -EFBIG;
    if (s->dirty && (result = advance(s)) < 0) /* also for an erase: a record whose write failed must not come back */
        return result;
    if ((result = find(s, key, strlen(key), &i)) < 0 || (len == 0 && i == s->keys))
        return result;
    freed = i < s->keys ? s->index[i].size : 0;
    if (len > 0 && (i == KEYS_MAX || s->live - freed + need > LIVE_MAX))
        return -ENOSPC;
    for (uint32_t n = 0; need > place(s->sequence) + SECTOR - s->end; n++) /* one round is always enough */
        if ((result = n < SECTORS ? advance(s) : -ENOSPC) < 0)
            return result;
    return append(s, key, data, len, sync);
}

/* ---------------------------------------------------------------- the functions that libenos calls */

static int32_t load(void *ctx, const char *key, uint8_t *buf, size_t cap, size_t *out_len)
{
    flash_store *s = ctx;
    uint32_t i;
    int result = find(s, key, strlen(key), &i);

    if (result == 0 && i == s->keys)
        return ENOS_STORAGE_NOT_FOUND;
    if (result < 0 || (result = reread_record(s, &s->index[i])) < 0)
        return result;
    *out_len = value_len(s->record);
    if (*out_len > cap)
        return ENOS_STORAGE_TOO_SMALL;
    memcpy(buf, s->record + RECORD_HEADER + key_len(s->record), *out_len);
    return ENOS_STORAGE_OK;
}

static int32_t store(void *ctx, const char *key, const uint8_t *data, size_t len)
{
    return change(ctx, key, data, len, 1);
}

static int32_t erase(void *ctx, const char *key)
{
    return change(ctx, key, NULL, 0, 1);
}

/* One sync for all changes. */
static int32_t batch(void *ctx, const enos_storage_change *changes, size_t count)
{
    flash_store *s = ctx;
    int result = 0;

    for (size_t i = 0; i < count && result == 0; i++)
        result = change(s, changes[i].key, changes[i].data, changes[i].len, 0);
    if (result == 0 && (result = flash_sync(s->flash)) < 0)
        s->dirty = 1;
    return result;
}

static void release(void *ctx)
{
    flash_close(((flash_store *)ctx)->flash);
    free(ctx);
}

int flash_store_open(const char *path, enos_storage *storage)
{
    flash_store *s = calloc(1, sizeof *s);
    int result;

    if (s == NULL)
        return -ENOMEM;
    if ((result = flash_open(path, &s->flash)) < 0)
        return free(s), result;
    if ((result = mount(s)) < 0)
        return release(s), result;
    ENOS_INIT(storage);
    storage->ctx = s;
    storage->load = load;
    storage->store = store;
    storage->erase = erase;
    storage->batch = batch;
    storage->release = release;
    return 0;
}
