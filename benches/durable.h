/* One way to keep messages on a disk, for durable.c to measure. */

#ifndef DURABLE_H
#define DURABLE_H

/* In this directory, which is empty. */
void keep_open(const char *directory);

/* Keeps so many messages (TOPIC and PAYLOAD of mqtt.h), together where there is a way to. When it returns, they are as
 * safe as they ever will be. */
void keep(unsigned count);

#endif
