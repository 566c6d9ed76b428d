/* Stores increasing numbers in a flash store for ever, and reports each one, for a test that kills it. */
#define _POSIX_C_SOURCE 200809L

#include "../../c_examples/flash_store.h"

#include <stdio.h>

#define FILLED 200

static uint8_t value[FILLED];

/* An incomplete number does not count. */
static int read_number(const enos_storage *storage, unsigned *number)
{
    size_t len = 0;
    int32_t result = storage->load(storage->ctx, "number", value, sizeof value, &len);

    *number = value[0] | (unsigned)value[1] << 8 | (unsigned)value[2] << 16;
    if (result == ENOS_STORAGE_NOT_FOUND)
        return *number = 0, 1;
    for (size_t i = 3; i < sizeof value; i++)
        if (value[i] != (uint8_t)(*number + i))
            return 0;
    return result == ENOS_STORAGE_OK && len == sizeof value;
}

static int write_number(const enos_storage *storage, unsigned number)
{
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (uint8_t)(i < 3 ? number >> 8 * i : number + i);
    return storage->store(storage->ctx, "number", value, sizeof value) == ENOS_STORAGE_OK;
}

int main(int argc, char **argv)
{
    enos_storage storage;
    unsigned number;

    if (argc != 2 || flash_store_open(argv[1], &storage) != 0 || !read_number(&storage, &number))
        return 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("%u\n", number);
    while (write_number(&storage, ++number))
        printf("%u\n", number);
    return 1;
}
