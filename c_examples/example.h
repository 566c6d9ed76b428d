/*
 * Shared by the examples from 03 on: a client from the command line, events as text, a post, signals, a loop, an orderly
 * shutdown. 02_activate_and_report.c and 12_inverter.c show the same in full.
 */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <enos.h>

#define REPORT_EVERY_S 1 /* for a demonstration; in the field a minute or more is enough */

/* Prints what failed, with the library's text. Returns the exit status. */
int fail(const char *what);

/*
 * Creates a client. Without a stored device secret it is activated with the product secret. That comes from the
 * environment (ENOS_PRODUCT_SECRET), because every user of a machine can read command lines.
 */
enos_status create(const char *server, const char *product_key, const char *device_key, const enos_storage *storage,
                   enos_event_cb on_event, void *ctx, enos_client **client);

/* Prints an event. */
void tell(const char *device_key, const enos_event *event);

/* Posts one measure point with the present time. */
enos_status post(enos_client *client, const char *point, double value, uint64_t *token);

/* Milliseconds since 1970, for the time of a reading. */
int64_t wall_clock_ms(void);

/* In place of a sensor: from 20.0 to 24.9 within 50 seconds. */
double temperature(void);

/*
 * Makes SIGINT and SIGTERM readable from a descriptor, which is returned; they no longer end the program. On failure it
 * prints the reason and returns -1. Call it before the first thread is started, because it blocks the signals for the
 * calling thread and the threads that it starts.
 */
int catch_signals(void);

/* Logs out and destroys a client whose loop runs on this thread, or on no thread. Returns an exit status. */
int finish(enos_client *client);

/*
 * A whole main() for the arguments SERVER PRODUCT_KEY DEVICE_KEY DIRECTORY: creates the client, connects it, and runs its
 * loop until SIGINT or SIGTERM. Calls each_second, if it is not NULL, once a second. Returns an exit status.
 */
int run_example(int argc, char **argv, enos_event_cb on_event, void (*each_second)(void *ctx, enos_client *client),
                void *ctx);

#endif
