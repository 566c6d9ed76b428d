/*
 * A storage for libenos on raw flash (NOR): a log over a ring of sectors, which wear evenly. It holds the device's four
 * records and an outbox of some hundreds of messages. To use it on a board, copy it, set SECTOR and SECTORS
 * (flash_store.c), and replace flash_file.c with the flash driver.
 *
 * By default: a partition of 256 KiB, values up to 4000 bytes, 1024 keys at once, 16 KiB of RAM.
 *
 * If the device has a file system, enos_storage_directory() is all that it needs.
 */
#ifndef FLASH_STORE_H
#define FLASH_STORE_H

#include <enos.h>

/*
 * Opens the partition, formats it if it is blank, and makes `storage` ready for enos_config_set_storage().
 *
 * Returns 0 or a negated errno: -EBUSY if another process has it open, -EINVAL if the file is something else, -EIO if
 * the flash fails or contains records that were damaged after they had been written. Do not erase the partition in
 * response: the device secret may be in it, and the cloud sends it once.
 *
 * The last config or client that uses the store closes it. If no config or client has it, call
 * storage->release(storage->ctx).
 */
int flash_store_open(const char *path, enos_storage *storage);

#endif
