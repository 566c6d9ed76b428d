/*
 * As much of JSON as it takes to read a command. A firmware that has a JSON library uses that.
 */
#ifndef JSON_H
#define JSON_H

#include <stddef.h>

/*
 * Finds a member of the outermost object. Returns the length of its value and points *value at it, as it stands in the
 * text; 0 when there is no such member, or the text is broken before it. The text needs no NUL.
 */
size_t json_member(const char *json, size_t len, const char *name, const char **value);

/* Likewise the element of the outermost array that has this place, from 0 on. */
size_t json_element(const char *json, size_t len, size_t place, const char **value);

/*
 * Copies such a member, a text without escapes or a number, to `out` with a NUL. 1: done. 0: there is none, it is
 * something else, or it does not fit.
 */
int json_text(const char *json, size_t len, const char *name, char *out, size_t cap);

#endif
