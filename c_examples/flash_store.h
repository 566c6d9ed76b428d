/*
 * A storage for libenos on raw flash: a log over two sectors, written as for a NOR flash partition, which a file stands
 * for here. To use it on a board, copy both files and replace the three functions flash_read(), flash_program() and
 * flash_erase() by those of the flash driver.
 *
 * Where the device has a file system, enos_storage_directory() is all that it needs.
 */
#ifndef FLASH_STORE_H
#define FLASH_STORE_H

#include <enos.h>

/*
 * Opens the partition, or formats it when it is blank, and makes `storage` ready for enos_config_set_storage().
 *
 * Returns 0 or a negated errno: -EBUSY when another process has it open, -EINVAL when the file is something else, -EIO
 * when the flash fails or holds records that were damaged after they had been written. Do not answer that by erasing
 * the partition: the device secret may be in it, and the cloud sends it once.
 *
 * The last config or client that uses the store closes it. One that was given to none: storage->release(storage->ctx).
 */
int flash_store_open(const char *path, enos_storage *storage);

#endif
