/*
 * The link under Paho, which is made in Rust (link/): what Paho calls, and what it keeps of a client that it used to
 * keep of the process.
 *
 * Every call of Paho's stands between enos_paho_enter() and enos_paho_leave(): with the client's own lock, and with
 * its lists in the place of the process's. So clients do not wait for one another, and what walks over all clients
 * meets this one alone.
 */
#if !defined(ENOS_LINK_H)
#define ENOS_LINK_H

#include <pthread.h>
#include <stddef.h>
#include <sys/uio.h>

#include "LinkedList.h"

/* As link/src/table.rs has it. What returns int returns TCPSOCKET_COMPLETE, TCPSOCKET_INTERRUPTED or SOCKET_ERROR. */
typedef struct
{
	void (*begin)(void* link, int ready);
	int (*connect)(void* link);
	int (*packet)(void* link, unsigned char* header, char** body, size_t* length);
	int (*put)(void* link, const struct iovec* pieces, int count);
	int (*flush)(void* link);
	int (*is_free)(void* link);
	int (*look)(void* link); /* 1: a PINGREQ is due */
	void (*rest)(void* link);
	void (*close)(void* link);
} enos_link_table;

/* What Paho keeps of the process otherwise. */
struct enos_world
{
	pthread_mutex_t lock;
	List* handles;  /* one MQTTAsyncs */
	List* commands; /* of MQTTAsync_queuedCommand */
	List* clients;  /* one Clients */
	List publications;
	unsigned int msgs_received, msgs_sent;
	int is_ours; /* 1: read from the marker, which a linker has to keep for that */
	const enos_link_table* table;
	void* link;
	struct enos_world* before; /* in whose call this thread was before, which is rare */
};

/* That of the client in whose call this thread is. */
extern __thread struct enos_world* enos_world;

int enos_world_create(struct enos_world** world);
void enos_world_destroy(struct enos_world* world);

#endif
