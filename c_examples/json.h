/*
 * Enough JSON to read a command. A firmware that has a JSON library uses that instead.
 */
#ifndef JSON_H
#define JSON_H

#include <stddef.h>

/*
 * Finds a member of the outermost object. Sets *value to the value in the text and returns its length; returns 0 if
 * there is no such member, or if the text is invalid before it. The text needs no NUL.
 */
size_t json_member(const char *json, size_t len, const char *name, const char **value);

/* The same for the element of the outermost array with this index, from 0 on. */
size_t json_element(const char *json, size_t len, size_t place, const char **value);

/*
 * Copies such a member, a string without escapes or a number, to `out` with a NUL. Returns 1; or 0 if there is no such
 * member, if it is something else, or if it does not fit.
 */
int json_text(const char *json, size_t len, const char *name, char *out, size_t cap);

#endif
