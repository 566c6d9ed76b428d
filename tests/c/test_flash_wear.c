/* The flash store of the examples with an outbox: the wear of its sectors, and how much it writes. */
#include "flash.h"

#define OPERATIONS 15000
#define WAITING 20 /* messages, at most */

static int32_t put(enos_storage *storage, const char *key, const void *data, size_t len)
{
    return storage->store(storage->ctx, key, data, len);
}

static const char *message_key(int number)
{
    static char key[40];

    snprintf(key, sizeof key, "out.%d.0123456789abcdef", number);
    return key;
}

/* Messages are stored and erased in turn; one record changes now and then, and one never. */
static void sectors_wear_evenly(void)
{
    enos_storage storage;
    unsigned least = ~0u, most = 0, all = 0;
    uint64_t new_bytes = 0;
    int good = 1, first = 0, last = 0;
    uint32_t random = 7;
    uint8_t data[100], got[100];
    size_t len;

    new_flash();
    memset(data, 'x', sizeof data);
    good &= power_on(&storage) == 0 && put(&storage, "secret", data, sizeof data) == 0;
    for (int op = 0; op < OPERATIONS && good; op++) {
        random = random * 1664525u + 1013904223u;
        if (op % 50 == 0)
            good &= put(&storage, "budget", data, 60) == 0;
        if (last - first < WAITING && (random >> 16) % 2 == 0) {
            memcpy(data, &last, sizeof last);
            good &= put(&storage, message_key(last++), data, sizeof data) == 0;
            new_bytes += padded(RECORD_HEADER + strlen(message_key(last)) + sizeof data);
        } else if (first < last) {
            good &= storage.load(storage.ctx, message_key(first), got, sizeof got, &len) == 0 && len == sizeof got;
            good &= memcmp(got, &first, sizeof first) == 0;
            good &= storage.erase(storage.ctx, message_key(first++)) == 0;
            new_bytes += padded(RECORD_HEADER + strlen(message_key(first)));
        }
    }
    good &= storage.load(storage.ctx, "secret", got, sizeof got, &len) == 0 && got[50] == 'x';
    power_off(&storage);
    for (uint32_t i = 0; i < SECTORS; i++) {
        least = erasures[i] < least ? erasures[i] : least;
        most = erasures[i] > most ? erasures[i] : most;
        all += erasures[i];
    }
    CHECK(good && first > 5000);
    CHECK(least > 50 && most - least <= 1);
    CHECK((uint64_t)all * (SECTOR - SECTOR_HEADER) < new_bytes * 3 / 2); /* little data is moved if few messages wait */
}

/* However full it is, waiting messages can be removed, and then there is room. */
static void a_full_store_drains(void)
{
    enos_storage storage;
    uint8_t data[200] = {1};
    int good = 1, last = 0;

    new_flash();
    good &= power_on(&storage) == 0;
    for (int round = 0; round < 50; round++) {
        int first = last;
        while (put(&storage, message_key(last), data, sizeof data) == 0)
            last++;
        good &= put(&storage, message_key(last), data, sizeof data) == -ENOSPC && last - first > 30;
        for (int number = first; number < last; number++)
            good &= storage.erase(storage.ctx, message_key(number)) == 0;
    }
    CHECK(good);
    power_off(&storage);
}

int main(void)
{
    sectors_wear_evenly();
    a_full_store_drains();
    CHECK(!programmed_twice);
    return checked();
}
