/* One implementation of building and reading JSON, which json.c measures. */

#ifndef JSON_H
#define JSON_H

#include <stddef.h>

/* Builds the params of a post of as many measure points, and a time. Returns the text, which is valid until the next call. */
const char *build(const char *const *ids, const double *values, int count, size_t *length);

/* Reads the number of one member of "params" in a command. */
double read_one(const char *command, size_t length, const char *key);

/* Adds up the numbers of all members of "params" in a command. */
double read_all(const char *command, size_t length);

#endif
