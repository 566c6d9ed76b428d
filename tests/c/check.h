/* Checks that print TAP lines; `return checked();` ends a program. */
#ifndef CHECK_H
#define CHECK_H

#include <enos.h>
#include <stdio.h>
#include <string.h>

static int check_count, check_failures;

#define CHECK(condition) check_that((condition) ? 1 : 0, #condition, __FILE__, __LINE__)

/* The call must return this status, which must also be that of the thread's last error. */
#define CHECK_STATUS(call, expected) check_status((call), (expected), #call, __FILE__, __LINE__)

static void check_that(int passed, const char *what, const char *file, int line)
{
    printf("%sok %d - %s\n", passed ? "" : "not ", ++check_count, what);
    if (!passed) {
        ++check_failures;
        printf("# %s:%d\n", file, line);
    }
}

static inline void check_status(enos_status status, enos_status expected, const char *what, const char *file, int line)
{
    int has_words = enos_last_error()[0] != '\0';

    check_that(status == expected && has_words == (expected != ENOS_OK), what, file, line);
    if (status != expected)
        printf("# %s instead of %s: %s\n", enos_strerror(status), enos_strerror(expected), enos_last_error());
}

static int checked(void)
{
    printf("1..%d\n", check_count);
    return check_failures == 0 ? 0 : 1;
}

#endif
