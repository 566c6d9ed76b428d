/*
 * The flash driver under flash_store.c, with a file in place of the flash. On a board, replace these functions.
 *
 * All return 0 or a negated errno. Offsets are in bytes from the beginning of the partition, lengths in bytes.
 */
#ifndef FLASH_FILE_H
#define FLASH_FILE_H

#include <stddef.h>
#include <stdint.h>

/* -EBUSY if another process has it open. */
int flash_open(const char *path, int *flash);

void flash_close(int flash);

int flash_read(int flash, uint32_t at, uint8_t *data, size_t len);

/* The bytes must be erased. If the bytes of a call survive a power cut, those of all earlier calls survive as well. */
int flash_program(int flash, uint32_t at, const uint8_t *data, size_t len);

/* Returns when all programmed data has reached the flash, not only a cache. Most drivers need not do anything. */
int flash_sync(int flash);

/* Erases whole sectors. A power cut may leave any content there. */
int flash_erase(int flash, uint32_t at, size_t len);

#endif
