#include "json.h"

#include <string.h>

typedef struct scanner {
    const char *at, *end;
} scanner;

static int next_is(scanner *s, char c)
{
    while (s->at < s->end && strchr(" \t\r\n", *s->at) != NULL && *s->at != '\0')
        s->at++;
    return s->at < s->end && *s->at == c;
}

static int take(scanner *s, char c)
{
    return next_is(s, c) ? (s->at++, 1) : 0;
}

/* Skips a string, starting at its opening quote. */
static int skip_string(scanner *s)
{
    if (!take(s, '"'))
        return 0;
    for (; s->at < s->end && *s->at != '"'; s->at++)
        if (*s->at == '\\' && ++s->at == s->end)
            return 0;
    return take(s, '"');
}

/* Skips a value, up to the comma or closing bracket after it. */
static int skip_value(scanner *s)
{
    size_t depth = 0;

    for (; s->at < s->end; s->at++) {
        char c = *s->at;
        if (c == '"') {
            if (!skip_string(s))
                return 0;
            s->at--;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (depth == 0 && (c == ',' || c == '}' || c == ']')) {
            return 1;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return 0;
}

/* The length of a value without trailing blanks. */
static size_t trimmed(const char *begin, const char *end)
{
    while (end > begin && strchr(" \t\r\n", end[-1]) != NULL)
        end--;
    return (size_t)(end - begin);
}

size_t json_member(const char *json, size_t len, const char *name, const char **value)
{
    scanner s = {json, json + len};
    size_t name_len = strlen(name);

    if (!take(&s, '{'))
        return 0;
    do {
        const char *key, *begin, *end;
        if (!next_is(&s, '"'))
            return 0;
        key = s.at + 1;
        if (!skip_string(&s) || (end = s.at - 1, !take(&s, ':')))
            return 0;
        next_is(&s, '"'); /* past the blanks */
        begin = s.at;
        if (!skip_value(&s))
            return 0;
        if ((size_t)(end - key) == name_len && memcmp(key, name, name_len) == 0) {
            *value = begin;
            return trimmed(begin, s.at);
        }
    } while (take(&s, ','));
    return 0;
}

size_t json_element(const char *json, size_t len, size_t place, const char **value)
{
    scanner s = {json, json + len};

    if (!take(&s, '['))
        return 0;
    do {
        const char *begin;
        next_is(&s, '"'); /* past the blanks */
        begin = s.at;
        if (!skip_value(&s))
            return 0;
        if (place-- == 0) {
            *value = begin;
            return trimmed(begin, s.at);
        }
    } while (take(&s, ','));
    return 0;
}

int json_text(const char *json, size_t len, const char *name, char *out, size_t cap)
{
    const char *value;
    size_t n = json_member(json, len, name, &value);

    if (n >= 2 && value[0] == '"' && value[n - 1] == '"')
        value++, n -= 2;
    else if (n == 0 || strchr("-0123456789", value[0]) == NULL)
        return 0;
    if (n >= cap || memchr(value, '\\', n) != NULL || memchr(value, '\0', n) != NULL)
        return 0;
    memcpy(out, value, n);
    out[n] = '\0';
    return 1;
}
