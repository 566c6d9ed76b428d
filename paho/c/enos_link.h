/*
 * The link under Paho, which is written in Rust (link/): the functions that Paho calls, and the data that Paho kept once for
 * the process and now keeps once for each client.
 *
 * Every call of Paho is made between enos_paho_enter() and enos_paho_leave(), with the client's own lock held and the client's
 * lists in place of the process's. So clients do not wait for each other, and code that walks over all clients finds only
 * this one.
 */
#if !defined(ENOS_LINK_H)
#define ENOS_LINK_H

#include <pthread.h>
#include <stddef.h>
#include <sys/uio.h>

#include "LinkedList.h"

/* The same as in link/src/table.rs. Functions that return int return TCPSOCKET_COMPLETE, TCPSOCKET_INTERRUPTED or SOCKET_ERROR. */
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

/* The data that Paho otherwise keeps once for the process. */
struct enos_world
{
	pthread_mutex_t lock;
	List* handles;  /* one MQTTAsyncs */
	List* commands; /* of MQTTAsync_queuedCommand */
	List* clients;  /* one Clients */
	List publications;
	unsigned int msgs_received, msgs_sent;
	int is_ours; /* 1; read from the marker, so that the linker keeps it */
	const enos_link_table* table;
	void* link;
	struct enos_world* before; /* the client in whose call this thread already was, which is rare */
};

/* The client whose call runs on this thread. */
extern __thread struct enos_world* enos_world;

int enos_world_create(struct enos_world** world);
void enos_world_destroy(struct enos_world* world);

#endif
