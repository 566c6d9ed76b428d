/* One way to store messages on a disk, which durable.c measures. */

#ifndef DURABLE_H
#define DURABLE_H

/* Prepares the storage in this empty directory. */
void keep_open(const char *directory);

/*
 * Stores this many messages (TOPIC and PAYLOAD of mqtt.h), together if possible. When it returns, they are as safe as
 * this way makes them.
 */
void keep(unsigned count);

#endif
