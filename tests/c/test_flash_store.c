/* The flash store of the examples: its values, and its state after a power cut at any byte. */
#include "flash.h"

#define KEYS 4
#define OPERATIONS 130
#define LONGEST 600

static const char *const names[KEYS] = {"secret.00", "pending.00", "budget.00", "sign"};

/* The value of a key in its n-th version; each version has another length. */
static size_t value(int key, int version, uint8_t *out)
{
    size_t len = 1 + (size_t)(version * 131 + key * 17) % (version % 7 == 0 ? LONGEST : 300);

    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(i * 7 + (size_t)version * 31 + (size_t)key);
    return len;
}

/* In version 0 a key does not exist. */
static int32_t put(enos_storage *storage, int key, int version)
{
    uint8_t data[LONGEST];
    size_t len = value(key, version, data);

    return version == 0 ? storage->erase(storage->ctx, names[key])
                        : storage->store(storage->ctx, names[key], data, len);
}

/* Whether a load returns that value. */
static int holds(enos_storage *storage, int key, int version)
{
    uint8_t expected[LONGEST], got[LONGEST];
    size_t expected_len = value(key, version, expected), len = 0;
    int32_t result = storage->load(storage->ctx, names[key], got, sizeof got, &len);

    if (version == 0)
        return result == ENOS_STORAGE_NOT_FOUND;
    return result == ENOS_STORAGE_OK && len == expected_len && memcmp(got, expected, len) == 0;
}

/* A fixed history that fills the sectors several times: the version of each key before each operation. */
static int history[OPERATIONS + 1][KEYS];

static int changed(int op)
{
    return op % 5 == 0 ? 0 : op % KEYS;
}

static void make_history(void)
{
    for (int op = 0; op < OPERATIONS; op++) {
        memcpy(history[op + 1], history[op], sizeof history[op]);
        history[op + 1][changed(op)] = op % 11 == 10 ? 0 : op + 1;
    }
}

static int holds_all(enos_storage *storage, const int *versions)
{
    int all = 1;

    for (int key = 0; key < KEYS; key++)
        all &= holds(storage, key, versions[key]);
    return all;
}

static void a_store_like_any_other(void)
{
    enos_storage storage;
    uint8_t buf[LONGEST], big[RECORD_MAX] = {1};
    size_t len = 0;
    char key[16];
    int result, count = 0;

    new_flash();
    CHECK(power_on(&storage) == 0 && storage.struct_size == sizeof storage);
    CHECK(storage.load(storage.ctx, "secret", buf, sizeof buf, &len) == ENOS_STORAGE_NOT_FOUND);
    CHECK(storage.erase(storage.ctx, "secret") == 0);
    CHECK(storage.store(storage.ctx, "secret", (const uint8_t *)"abc", 3) == 0);
    CHECK(storage.load(storage.ctx, "secret", buf, 2, &len) == ENOS_STORAGE_TOO_SMALL && len == 3);
    CHECK(storage.load(storage.ctx, "secret", buf, 3, &len) == 0 && len == 3 && memcmp(buf, "abc", 3) == 0);
    CHECK(storage.load(storage.ctx, "secre", buf, 3, &len) == ENOS_STORAGE_NOT_FOUND);
    CHECK(storage.store(storage.ctx, "secret", big, sizeof big) == -EFBIG);
    for (size_t size = LONGEST; size >= 1; size /= 5) /* fill it, in the end with the smallest values */
        for (result = 0; result == 0; count++) {
            snprintf(key, sizeof key, "out.%02d", count);
            result = storage.store(storage.ctx, key, big, size);
        }
    CHECK(result == -ENOSPC);
    CHECK(storage.load(storage.ctx, "secret", buf, 3, &len) == 0 && memcmp(buf, "abc", 3) == 0);
    CHECK(storage.erase(storage.ctx, "out.00") == 0);
    CHECK(storage.load(storage.ctx, "out.00", buf, sizeof buf, &len) == ENOS_STORAGE_NOT_FOUND);
    CHECK(storage.store(storage.ctx, "more", big, LONGEST) == 0);
    power_off(&storage);
    CHECK(power_on(&storage) == 0);
    CHECK(storage.load(storage.ctx, "out.00", buf, sizeof buf, &len) == ENOS_STORAGE_NOT_FOUND);
    CHECK(storage.load(storage.ctx, "more", buf, sizeof buf, &len) == 0 && len == LONGEST);
    power_off(&storage);
}

/* Runs the history on a new flash, and records every write in `recorded`. */
static written *recorded;
static size_t records;

static void run_history(void)
{
    enos_storage storage;
    int good = 1;

    recorded = trace = calloc(4096, sizeof *trace);
    new_flash();
    operation = -1;
    good &= power_on(&storage) == 0;
    for (operation = 0; operation < OPERATIONS; operation++)
        good &= put(&storage, changed(operation), history[operation + 1][changed(operation)]) == 0;
    good &= holds_all(&storage, history[OPERATIONS]);
    CHECK(good && ((flash_store *)storage.ctx)->sequence > SECTORS + 1); /* all sectors were in use, and some again */
    power_off(&storage);
    records = trace_len;
    trace = NULL;
}

/* Makes the flash as it is after a power cut in the n-th write, after `done` bytes. */
static void replay(size_t n, size_t done)
{
    new_flash();
    for (size_t i = 0; i < n; i++)
        memcpy(image + recorded[i].at, recorded[i].data, recorded[i].len);
    image_tear(recorded[n].at, recorded[n].data, recorded[n].len, done);
}

/* All keys must be as before the interrupted operation, or as after it. */
static int survives(size_t n, size_t done)
{
    enos_storage storage;
    int op = recorded[n].operation, good;

    replay(n, done);
    if (power_on(&storage) != 0)
        return 0;
    good = ((flash_store *)storage.ctx)->sequence < 100;
    good &= holds_all(&storage, history[op < 0 ? 0 : op]) || (op >= 0 && holds_all(&storage, history[op + 1]));
    if (done % 8 == 0) { /* and the store still works */
        good &= put(&storage, 1, 501) == 0;
        power_off(&storage);
        good &= power_on(&storage) == 0 && holds(&storage, 1, 501);
    }
    power_off(&storage);
    return good;
}

static void the_power_goes_at_every_byte(void)
{
    int good[TEARS] = {1, 1, 1};

    for (size_t n = 0; n < records; n++) {
        size_t step = recorded[n].len == BLANK ? 509 : 1; /* an erase has only equal bytes */
        for (size_t done = 0; done < recorded[n].len; done += step)
            for (int kind = 0; kind < TEARS; kind++)
                if (kind == TAIL_MISSING || done % 7 == 0) {
                    tear = (enum tear)kind;
                    good[kind] &= survives(n, done);
                }
    }
    tear = TAIL_MISSING;
    CHECK(good[TAIL_MISSING]);
    CHECK(good[HEAD_MISSING]);
    CHECK(good[TAIL_GARBLED]);
}

/* One device with thousands of power cuts, many of them during the recovery from the previous one. */
static void a_life_of_power_cuts(void)
{
    enos_storage storage;
    int versions[KEYS] = {0}, cuts = 0, good = 1;
    uint32_t random = 1;

    new_flash();
    for (int op = 1; op < 8000 && good; op++) {
        int key = op % KEYS, version = op % 13 == 0 ? 0 : op;
        random = random * 1664525u + 1013904223u;
        good &= power_on(&storage) == 0 && holds_all(&storage, versions);
        tear = (enum tear)(random >> 8 & 0xFF) % TEARS;
        bytes_left = (long)(random >> 16) % 900;
        if (put(&storage, key, version) == 0) {
            versions[key] = version;
        } else {
            power_off(&storage);
            good &= power_on(&storage) == 0;
            if (holds(&storage, key, version))
                versions[key] = version;
            cuts++;
        }
        power_off(&storage);
    }
    tear = TAIL_MISSING;
    CHECK(good && cuts > 1000);
}

/* The file ends at any byte: that is reported, or a key has one of its former values, never another. */
static void the_file_is_cut_off_at_every_byte(void)
{
    enos_storage storage;
    int good = 1, newest = 0, told = 0;

    replay(records - 1, recorded[records - 1].len);
    for (size_t len = IMAGE_SIZE; len-- > 0;) {
        int result;
        image_len = len;
        if ((result = power_on(&storage)) != 0) {
            good &= result == -EIO;
            told++;
            continue;
        }
        for (int key = 0; key < KEYS; key++) {
            int version = history[OPERATIONS][key], known = 0;
            newest += holds(&storage, key, version);
            for (int op = OPERATIONS; op >= 0 && !known; op--)
                known = holds(&storage, key, history[op][key]);
            good &= known;
        }
        power_off(&storage);
    }
    CHECK(good && newest > 0 && told > 0);
}

/* A flipped bit is reported, or costs at most the newest record, or is in unused data; it never makes up a value. */
static void a_bit_of_the_log_flips(void)
{
    enos_storage storage;
    const written *last = &recorded[records - 1];
    uint32_t newest_header = last->at / SECTOR * SECTOR;
    int good = 1, told = 0;

    replay(records - 1, last->len);
    for (uint32_t at = 0; at < IMAGE_SIZE; at++) {
        int newest = at >= last->at && at < last->at + last->len, result;
        if (at >= newest_header && at < newest_header + SECTOR_HEADER)
            continue; /* the record counts as not written */
        image[at] ^= (uint8_t)(1 << at % 8);
        result = power_on(&storage);
        told += result == -EIO;
        if (result == 0) {
            good &=
                holds_all(&storage, history[OPERATIONS]) || (newest && holds_all(&storage, history[OPERATIONS - 1]));
            power_off(&storage);
        } else {
            good &= result == -EIO && !newest;
        }
        image[at] ^= (uint8_t)(1 << at % 8);
    }
    CHECK(good && told > 5000);
}

/* If a read or write fails, the call fails, nothing is lost, and the next call works again. */
static void the_flash_fails_at_every_call(void)
{
    enos_storage storage;
    int good = 1, failed = 1, version = 1000;

    replay(records - 1, recorded[records - 1].len);
    for (long n = 0; failed; n++) { /* while it is opened */
        bytes_left = -1, calls_left = n;
        failed = flash_store_open(FLASH_FILE, &storage) < 0;
    }
    power_off(&storage);
    good &= power_on(&storage) == 0 && holds_all(&storage, history[OPERATIONS]);
    good &= put(&storage, 3, version) == 0;
    for (long n = 0; n < 1200; n++) { /* while it is used */
        uint8_t buf[LONGEST];
        size_t len;
        int32_t result;
        calls_left = n % 100;
        result = storage.load(storage.ctx, names[3], buf, sizeof buf, &len);
        good &= result == ENOS_STORAGE_OK || result == -EIO;
        calls_left = n % 2 ? n / 2 % 3 : n / 2 % 50; /* two reads and a write, now and then a sector before */
        result = put(&storage, 3, version + 1);
        calls_left = -1;
        failed += result < 0;
        version += result == 0;
        good &= holds(&storage, 3, version);
        good &= put(&storage, 3, ++version) == 0 && holds(&storage, 3, version);
        power_off(&storage);
        good &= power_on(&storage) == 0 && holds(&storage, 3, version);
    }
    power_off(&storage);
    CHECK(good && failed > 100 && failures > 20);
}

/* The sector is then valid at the next start, so later records in the previous sector would be lost. */
static void a_header_is_written_and_disowned(void)
{
    enos_storage storage;
    uint8_t big[LONGEST] = {0};
    int good, stored = 1;

    new_flash();
    good = power_on(&storage) == 0;
    header_disowned = 1;
    while (storage.store(storage.ctx, "big", big, sizeof big) == 0)
        stored++;
    good &= put(&storage, 3, 1) < 0; /* although there is room for it */
    header_disowned = 0;
    good &= put(&storage, 3, 2) == 0;
    power_off(&storage);
    good &= power_on(&storage) == 0 && holds(&storage, 3, 2);
    power_off(&storage);
    CHECK(good && stored > 3);
}

/*
 * A value whose store failed after writing everything may be there after a power cut, but not if it was erased since.
 */
static void what_failed_and_was_erased_stays_away(void)
{
    enos_storage storage;
    int good = 1;

    for (failures = 0; failures < 3;) { /* nothing, half, or all was written */
        new_flash();
        good &= power_on(&storage) == 0 && put(&storage, 1, 7) == 0;
        calls_left = 0;
        good &= put(&storage, 0, 9) == -EIO && put(&storage, 0, 0) == 0 && holds(&storage, 0, 0);
        power_off(&storage);
        good &= power_on(&storage) == 0 && holds(&storage, 0, 0) && holds(&storage, 1, 7);
        power_off(&storage);
    }
    CHECK(good);
}

/* A power cut at every byte of a batch: each of its changes is made or not, and nothing else changes. */
static void a_batch_is_cut_at_every_byte(void)
{
    static const int before[KEYS] = {11, 12, 13, 14}, after[KEYS] = {21, 0, 23, 14};
    static uint8_t saved[IMAGE_SIZE];
    enos_storage storage;
    const flash_store *flash;
    uint8_t first[LONGEST], third[LONGEST];
    enos_storage_change changes[] = {
        {names[0], first, 0}, {names[1], NULL, 0}, {names[2], third, 0}, {"none", NULL, 0}};
    int good = 1, result = -EIO, partly = 0, most = 3;

    changes[0].len = value(0, after[0], first);
    changes[2].len = value(2, after[2], third);
    new_flash();
    good &= power_on(&storage) == 0;
    flash = storage.ctx;
    while (flash->sequence <= SECTORS || flash->end % SECTOR < SECTOR - 400) /* the log continues in another sector */
        for (int key = 0; key < KEYS; key++)
            good &= put(&storage, key, before[key]) == 0;
    power_off(&storage);
    memcpy(saved, image, sizeof saved);
    for (long left = 0; result != 0; left++) {
        int made = 0;
        memcpy(image, saved, sizeof saved);
        good &= power_on(&storage) == 0;
        bytes_left = left;
        result = storage.batch(storage.ctx, changes, 4);
        power_off(&storage);
        good &= power_on(&storage) == 0;
        for (int key = 0; key < KEYS; key++) {
            int new = holds(&storage, key, after[key]);
            good &= new || holds(&storage, key, before[key]);
            made += key < most && new;
        }
        partly += made > 0 && made < most;
        power_off(&storage);
    }
    CHECK(good && partly > 100);
    CHECK(power_on(&storage) == 0 && holds_all(&storage, after));
    power_off(&storage);
}

static void not_its_own(void)
{
    enos_storage storage;
    int child_status = -1;
    pid_t child;

    new_flash();
    memcpy(image + 100, "somebody's data", 15);
    CHECK(power_on(&storage) == -EINVAL && memcmp(image + 100, "somebody's data", 15) == 0);

    new_flash();
    CHECK(power_on(&storage) == 0);
    child = fork();
    if (child == 0) {
        enos_storage second;
        _exit(power_on(&second) == -EBUSY ? 0 : 1);
    }
    CHECK(child > 0 && waitpid(child, &child_status, 0) == child && child_status == 0);
    power_off(&storage);
}

int main(void)
{
    make_history();
    a_store_like_any_other();
    not_its_own();
    run_history();
    the_power_goes_at_every_byte();
    a_life_of_power_cuts();
    the_file_is_cut_off_at_every_byte();
    a_bit_of_the_log_flips();
    the_flash_fails_at_every_call();
    a_header_is_written_and_disowned();
    what_failed_and_was_erased_stays_away();
    a_batch_is_cut_at_every_byte();
    CHECK(!programmed_twice);
    free(recorded);
    return checked();
}
