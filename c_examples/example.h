/*
 * What the examples from 03 on share, so that each shows its own subject: a client from the command line, events in
 * words, a post, signals, an end in order. 02_activate_and_report.c has the same at length.
 */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <enos.h>

#define REPORT_EVERY_S 1 /* for a desk; a device in the field is content with a minute or more */

/* Says what failed, in the library's words. Returns the exit status that goes with it. */
int fail(const char *what);

/*
 * Makes a client. Without a stored device secret it is activated with the product secret, which comes from the
 * environment (ENOS_PRODUCT_SECRET) because every user of a machine can read command lines.
 */
enos_status create(const char *server, const char *product_key, const char *device_key, const enos_storage *storage,
                   enos_event_cb on_event, void *ctx, enos_client **client);

/* Prints an event. */
void tell(const char *device_key, const enos_event *event);

/* Posts one measure point, with the time of now. */
enos_status post(enos_client *client, const char *point, double value, uint64_t *token);

/* Stands for a sensor. */
double temperature(void);

/*
 * From here on SIGINT and SIGTERM no longer end the program: they make a descriptor readable, which is returned, or -1
 * with words on stderr. To be called before the first thread is started: signals are blocked for each thread.
 */
int catch_signals(void);

/* Logs out and destroys a client whose loop runs on this thread, or on none. Returns an exit status. */
int finish(enos_client *client);

#endif
