/* SPDX-License-Identifier: BSD-2-Clause */
/* The measuring program of the guests, the same on Socle and on KVM: direct I/O of a drive, round trips and streams of a network.
 * Each line says operations, virtual time, throughput, and ticks of the time-stamp counter for each operation: instructions, where the
 * machine runs under -icount shift=0.
 *   io disk DEVICE    sequential and random reads and writes
 *   io reads DEVICE   random reads without end
 *   io serve          answers UDP, swallows TCP
 *   io net ADDRESS    UDP round trips and a TCP stream to an "io serve" */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define MIB (1u << 20)
#define BLOCK 4096u
#define DEPTH 16u
#define RANGE (512ull * MIB) /* of the drive that is used */
#define PORT 7000
#define ROUND_TRIPS 500u
#define STREAM (32u * MIB)
#define CHUNK (64u << 10)

static uint8_t *buffer;

struct stopwatch {
	uint64_t ns, ticks;
};

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static struct stopwatch now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (struct stopwatch){(uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec,
				  __rdtsc()};
}

static void tell(const char *name, struct stopwatch start, unsigned ops, uint64_t bytes)
{
	struct stopwatch end = now();
	double ns = (double)(end.ns - start.ns);

	printf("io %s %u ops %.2f us %.1f MB/s %llu instructions\n", name, ops, ns / ops / 1000,
	       (double)bytes * 1000 / ns, (unsigned long long)((end.ticks - start.ticks) / ops));
	fflush(stdout);
}

/* The pages that it has lie as the guest's kernel gives them. */
static uint8_t *aligned_buffer(void)
{
	uint8_t *p = aligned_alloc(MIB, MIB);

	if (!p)
		fail("memory");
	memset(p, 0x5a, MIB);
	return p;
}

/* ---- drives ---- */

static uint64_t random_block(void)
{
	static uint64_t state = 1;

	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (state >> 33) % (RANGE / BLOCK) * BLOCK;
}

/* The next operation's place: all over the range, or one after the other. */
static off_t place(unsigned n, unsigned size)
{
	return size == BLOCK ? (off_t)random_block() : (off_t)n * size;
}

static void one_by_one(const char *name, int fd, int write, unsigned ops, unsigned size)
{
	struct stopwatch start = now();

	for (unsigned n = 0; n < ops; n++) {
		off_t at = place(n, size);
		ssize_t done = write ? pwrite(fd, buffer, size, at) : pread(fd, buffer, size, at);

		if (done != (ssize_t)size)
			fail(name);
	}
	tell(name, start, ops, (uint64_t)ops * size);
}

static void submit(aio_context_t aio, struct iocb *cb)
{
	cb->aio_offset = place(0, BLOCK);
	if (syscall(SYS_io_submit, aio, 1, &cb) != 1)
		fail("io_submit");
}

/* Random blocks, DEPTH at a time: what has come back is sent again, elsewhere. */
static void many(const char *name, int fd, int write, unsigned ops)
{
	struct iocb cbs[DEPTH] = {0};
	struct io_event events[DEPTH];
	aio_context_t aio = 0;
	struct stopwatch start;
	unsigned sent = 0, done = 0;

	if (syscall(SYS_io_setup, DEPTH, &aio))
		fail("io_setup");
	start = now();
	for (; sent < DEPTH; sent++) {
		cbs[sent].aio_fildes = (uint32_t)fd;
		cbs[sent].aio_lio_opcode = write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
		cbs[sent].aio_buf = (uint64_t)(buffer + sent * BLOCK);
		cbs[sent].aio_nbytes = BLOCK;
		submit(aio, &cbs[sent]);
	}
	while (done < ops) {
		long n = syscall(SYS_io_getevents, aio, 1, DEPTH, events, NULL);

		if (n <= 0)
			fail("io_getevents");
		for (long i = 0; i < n; i++) {
			if (events[i].res != BLOCK)
				fail(name);
			done++;
			if (sent++ < ops)
				submit(aio, (struct iocb *)events[i].obj);
		}
	}
	tell(name, start, ops, (uint64_t)ops * BLOCK);
	syscall(SYS_io_destroy, aio);
}

static void disk(const char *device)
{
	int fd = open(device, O_RDWR | O_DIRECT);
	uint64_t bytes = 0;

	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &bytes) || bytes < RANGE)
		fail(device);
	buffer = aligned_buffer();
	one_by_one("warm-up", fd, 0, 2000, BLOCK);
	one_by_one("warm-up", fd, 0, 16, MIB);
	if (buffer[0] || buffer[MIB - 1])
		printf("io: the drive is not empty, or the read did not arrive\n");
	one_by_one("seq-read", fd, 0, 64, MIB);
	one_by_one("seq-write", fd, 1, 64, MIB);
	one_by_one("rand-read", fd, 0, 2000, BLOCK);
	one_by_one("rand-write", fd, 1, 2000, BLOCK);
	many("rand-read-16", fd, 0, 4000);
	many("rand-write-16", fd, 1, 4000);
	close(fd);
}

/* Random reads without end, for a look at where the instructions go. */
static void reads(const char *device)
{
	int fd = open(device, O_RDWR | O_DIRECT);

	buffer = aligned_buffer();
	if (fd < 0)
		fail(device);
	for (;;)
		one_by_one("rand-read", fd, 0, 2000, BLOCK);
}

/* ---- networks ---- */

static struct sockaddr_in address(const char *text)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};

	if (text)
		inet_pton(AF_INET, text, &a.sin_addr);
	return a;
}

static void swallow(int listener)
{
	int fd = accept(listener, NULL, NULL);
	uint64_t bytes = 0;
	ssize_t n;

	if (fd < 0)
		return;
	while ((n = read(fd, buffer, CHUNK)) > 0)
		bytes += (uint64_t)n;
	send(fd, &bytes, sizeof(bytes),
	     MSG_NOSIGNAL); /* nobody waits for it where the connection was only a question */
	close(fd);
}

static void echo(int fd)
{
	struct sockaddr_in from;
	socklen_t size = sizeof(from);
	ssize_t n = recvfrom(fd, buffer, CHUNK, 0, (struct sockaddr *)&from, &size);

	if (n >= 0 && sendto(fd, buffer, (size_t)n, 0, (struct sockaddr *)&from, size) < 0)
		perror("echo");
}

static void serve(void)
{
	struct sockaddr_in here = address(NULL);
	struct pollfd fds[2] = {{.fd = socket(AF_INET, SOCK_DGRAM, 0), .events = POLLIN},
				{.fd = socket(AF_INET, SOCK_STREAM, 0), .events = POLLIN}};

	for (unsigned i = 0; i < 2; i++)
		if (bind(fds[i].fd, (struct sockaddr *)&here, sizeof(here)))
			fail("bind");
	if (listen(fds[1].fd, 4))
		fail("listen");
	while (poll(fds, 2, -1) > 0) {
		if (fds[0].revents)
			echo(fds[0].fd);
		if (fds[1].revents)
			swallow(fds[1].fd);
	}
}

/* Returns the socket once the other side answers: it may still be booting. */
static int wait_for_peer(struct sockaddr_in *peer)
{
	for (unsigned n = 0; n < 600; n++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (!connect(fd, (struct sockaddr *)peer, sizeof(*peer)))
			return fd;
		close(fd);
		usleep(100000);
	}
	fail("connect");
	return -1;
}

static void stream(int fd)
{
	struct stopwatch start = now();
	uint64_t got = 0;

	for (uint64_t sent = 0; sent < STREAM;) {
		ssize_t n = write(fd, buffer, CHUNK);

		if (n <= 0)
			fail("stream");
		sent += (uint64_t)n;
	}
	shutdown(fd, SHUT_WR);
	if (read(fd, &got, sizeof(got)) != sizeof(got) || got != STREAM)
		fail("stream's end");
	tell("tcp", start, STREAM / MIB, STREAM);
	close(fd);
}

static void round_trips(struct sockaddr_in *peer)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct stopwatch start = {0, 0};

	if (connect(fd, (struct sockaddr *)peer, sizeof(*peer)))
		fail("udp");
	for (unsigned n = 0; n < ROUND_TRIPS + 10; n++) {
		if (n == 10)
			start = now();
		if (send(fd, buffer, 64, 0) != 64 || recv(fd, buffer, CHUNK, 0) != 64)
			fail("round trip");
	}
	tell("udp", start, ROUND_TRIPS, ROUND_TRIPS * 64);
	close(fd);
}

static void net(const char *to)
{
	struct sockaddr_in peer = address(to);

	close(wait_for_peer(
		&peer)); /* it serves one connection at a time, and nothing else meanwhile */
	round_trips(&peer);
	stream(wait_for_peer(&peer));
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "disk")) {
		disk(argv[2]);
		return 0;
	}
	if (argc == 3 && !strcmp(argv[1], "reads"))
		reads(argv[2]);
	buffer = calloc(1, CHUNK);
	if (argc == 2 && !strcmp(argv[1], "serve"))
		serve();
	else if (argc == 3 && !strcmp(argv[1], "net"))
		net(argv[2]);
	return 1;
}
