/*
 * Replaces Paho's Socket.c, SocketBuffer.c, WebSocket.c, Proxy.c, Thread.c and Log.c.
 */
#include "enos_link.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "Log.h"
#include "MQTTAsync.h"
#include "MQTTAsyncUtils.h"
#include "Socket.h"
#include "WebSocket.h"

#undef free

extern const char enos_paho_marker[]; /* see fixes/0001-marker.patch */

__thread struct enos_world* enos_world = NULL;


int enos_world_create(struct enos_world** place)
{
	struct enos_world* world = calloc(1, sizeof(struct enos_world));

	*place = world;
	if (world == NULL)
		return 0;
	world->is_ours = enos_paho_marker[0] == 'l';
	world->handles = ListInitialize();
	world->commands = ListInitialize();
	world->clients = ListInitialize();
	if (world->handles && world->commands && world->clients && pthread_mutex_init(&world->lock, NULL) == 0)
		return 1;
	free(world->handles);
	free(world->commands);
	free(world->clients);
	free(world);
	*place = NULL;
	return 0;
}


/* The lists are empty by now, except for content that is freed elsewhere. */
void enos_world_destroy(struct enos_world* world)
{
	ListFreeNoContent(world->handles);
	ListFreeNoContent(world->commands);
	ListFreeNoContent(world->clients);
	pthread_mutex_destroy(&world->lock);
	free(world);
}


void enos_paho_enter(MQTTAsync handle)
{
	struct enos_world* world = ((MQTTAsyncs*)handle)->world;

	pthread_mutex_lock(&world->lock);
	world->before = enos_world;
	enos_world = world;
}


void enos_paho_leave(MQTTAsync handle)
{
	struct enos_world* world = ((MQTTAsyncs*)handle)->world;

	enos_world = world->before;
	pthread_mutex_unlock(&world->lock);
}


void enos_paho_set_link(MQTTAsync handle, const void* table, void* link)
{
	struct enos_world* world = ((MQTTAsyncs*)handle)->world;

	world->table = table;
	world->link = link;
}


/* Wipes a block of memory and frees it. */
void enos_wipe_free(void* block)
{
	if (block)
		explicit_bzero(block, malloc_usable_size(block));
	free(block);
}


/* The functions that the rest of Paho calls. A write is always complete, because the link copies what it cannot send yet. */

int WebSocket_putdatas(networkHandles* net, char** header, size_t* header_length, PacketBuffers* rest)
{
	struct iovec pieces[8] = {{*header, *header_length}};
	int count = 1;

	(void)net;
	for (int i = 0; i < rest->count && count < 8; ++i, ++count)
	{
		pieces[count].iov_base = rest->buffers[i];
		pieces[count].iov_len = rest->buflens[i];
	}
	return enos_world->table->put(enos_world->link, pieces, count);
}


int Socket_noPendingWrites(SOCKET socket)
{
	(void)socket;
	return enos_world->table->is_free(enos_world->link);
}


int Socket_close(SOCKET socket)
{
	(void)socket;
	enos_world->table->close(enos_world->link);
	return 0;
}


void Log_setTraceCallback(Log_traceCallback* callback)
{
	(void)callback;
}


void Log_setTraceLevel(enum LOG_LEVELS level)
{
	(void)level;
}
