/*
 * What the driver can find out about its own process, and do to it.
 */
#define _GNU_SOURCE
#include "process.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The wall clock as Paho sees it (-Wl,--wrap=clock_gettime). */
_Atomic long skew;
int __real_clock_gettime(clockid_t clock, struct timespec* now);

int __wrap_clock_gettime(clockid_t clock, struct timespec* now)
{
	int rc = __real_clock_gettime(clock, now);

	if (clock == CLOCK_REALTIME)
		now->tv_sec += skew;
	return rc;
}

/* The largest single allocation; the sanitizers call this for each. */
_Atomic size_t largest;

__attribute__((visibility("default"))) void __sanitizer_malloc_hook(const volatile void* block, size_t size)
{
	size_t before = largest;

	(void)block;
	while (size > before && !atomic_compare_exchange_weak(&largest, &before, size))
		;
}

long now_ms(clockid_t clock)
{
	struct timespec now;

	__real_clock_gettime(clock, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A password and a payload that can be looked for in memory: never in one piece in the program itself. */
void secret(char* text, size_t length)
{
	static const unsigned char hidden[] = {0x08, 0x3e, 0x38, 0x29, 0x3e, 0x2f, 0x76, 0x14, 0x3d, 0x76, 0x6c, 0x6b};
	size_t i;

	for (i = 0; i < length; ++i)
		text[i] = hidden[i % sizeof(hidden)] ^ 0x5b;
}

/* How often the secret stands in the memory that the process can write. */
int count_secrets(void)
{
	char needle[12], line[512];
	FILE* maps = fopen("/proc/self/maps", "r");
	int found = 0;

	secret(needle, sizeof(needle));
	while (maps && fgets(line, sizeof(line), maps))
	{
		unsigned long from, to;
		char access[5];

		if (sscanf(line, "%lx-%lx %4s", &from, &to, access) != 3 || strncmp(access, "rw", 2) != 0)
			continue;
		for (char* at = (char*)from; (at = memmem(at, (char*)to - at, needle, sizeof(needle))) != NULL; ++at)
			found += (at != needle);
	}
	if (maps)
		fclose(maps);
	explicit_bzero(needle, sizeof(needle));
	return found;
}

/* Calls back with each descriptor of the process but the standard ones. */
int each_descriptor(int (*check)(int descriptor, int argument), int argument)
{
	DIR* directory = opendir("/proc/self/fd");
	struct dirent* entry;
	int count = 0;

	while (directory && (entry = readdir(directory)) != NULL)
	{
		int descriptor = atoi(entry->d_name);

		if (descriptor > 2 && descriptor != dirfd(directory))
			count += check(descriptor, argument);
	}
	if (directory)
		closedir(directory);
	return count;
}

int any_descriptor(int descriptor, int unused)
{
	(void)unused;
	return descriptor >= 0;
}

int survives_exec(int descriptor, int unused)
{
	(void)unused;
	return (fcntl(descriptor, F_GETFD) & FD_CLOEXEC) == 0;
}

static int connected_to(int descriptor, int port)
{
	struct sockaddr_in peer;
	socklen_t length = sizeof(peer);

	return getpeername(descriptor, (struct sockaddr*)&peer, &length) == 0 && peer.sin_family == AF_INET &&
		ntohs(peer.sin_port) == port;
}

int break_writing(int descriptor, int port)
{
	return connected_to(descriptor, port) && shutdown(descriptor, SHUT_WR) == 0;
}

int narrow(int descriptor, int port)
{
	int size = 4096;

	return connected_to(descriptor, port) && setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0;
}

/* The threads of the process. */
int count_threads(void)
{
	DIR* directory = opendir("/proc/self/task");
	struct dirent* entry;
	int count = 0;

	while (directory && (entry = readdir(directory)) != NULL)
		count += (entry->d_name[0] != '.');
	if (directory)
		closedir(directory);
	return count;
}

/* Reads from sockets (-Wl,--wrap=recv). */
_Atomic int reads;
ssize_t __real_recv(int socket, void* buffer, size_t length, int flags);

ssize_t __wrap_recv(int socket, void* buffer, size_t length, int flags)
{
	++reads;
	return __real_recv(socket, buffer, length, flags);
}
