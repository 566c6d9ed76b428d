/*
 * The flash driver under flash_store.c; here a file stands for the flash. On a board, these functions are replaced.
 *
 * All return 0 or a negated errno. Places and lengths are in bytes from the beginning of the partition on.
 */
#ifndef FLASH_FILE_H
#define FLASH_FILE_H

#include <stddef.h>
#include <stdint.h>

/* -EBUSY when another process has it open. */
int flash_open(const char *path, int *flash);

void flash_close(int flash);

int flash_read(int flash, uint32_t at, uint8_t *data, size_t len);

/* The bytes must be erased. A power cut leaves no bytes of a later call without those of an earlier one. */
int flash_program(int flash, uint32_t at, const uint8_t *data, size_t len);

/* What was programmed has reached the flash, not only a cache, when this returns: nothing to do for most drivers. */
int flash_sync(int flash);

/* Whole sectors. A power cut may leave anything there. */
int flash_erase(int flash, uint32_t at, size_t len);

#endif
