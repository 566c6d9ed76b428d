#include <stdatomic.h>
#include <stddef.h>
#include <time.h>

extern _Atomic long skew;      /* seconds that the wall clock, as Paho sees it, is ahead */
extern _Atomic size_t largest; /* the largest single allocation so far, in a build with a sanitizer */
extern _Atomic int reads;      /* how often Paho has asked a socket for bytes */

long now_ms(clockid_t clock);

/* A text that can be looked for in memory: never in one piece in the program itself. */
void secret(char* text, size_t length);

/* How often it stands in the memory that the process can write. */
int count_secrets(void);

/* The sum of what a check answers for each descriptor of the process but the standard ones. */
int each_descriptor(int (*check)(int descriptor, int argument), int argument);
int any_descriptor(int descriptor, int unused);
int survives_exec(int descriptor, int unused);
int break_writing(int descriptor, int port); /* if it is connected to the port: every write fails from now on */
int narrow(int descriptor, int port);        /* if it is connected to the port: large writes go out in parts */

/* The threads of the process. */
int count_threads(void);
