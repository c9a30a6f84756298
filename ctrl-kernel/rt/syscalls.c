/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What newlib asks of an operating system, over hypercalls. There are no files: descriptors 1 and 2 go to the
 * host log, line by line; everything else fails with an errno.
 */
#include "ctrl-kernel/rt/hvcall.h"
#include "ctrl-kernel/rt/rt.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/types.h>
#include <unistd.h>

#define LINE_MAX_BYTES 240u

int execve(const char *path, char *const argv[], char *const envp[]);
int gettimeofday(struct timeval *tv, void *zone);
int kill(pid_t pid, int signal);
int open(const char *path, int flags, ...);
pid_t wait(int *status);
int getentropy(void *buf, size_t len);

static char line[LINE_MAX_BYTES];
static size_t line_used;

static void line_flush(void)
{
	(void)hv_log_write(line, line_used); /* nowhere to complain to */
	line_used = 0;
}

_READ_WRITE_RETURN_TYPE write(int fd, const void *buf, size_t len)
{
	const char *text = buf;

	if (fd != STDOUT_FILENO && fd != STDERR_FILENO) {
		errno = EBADF;
		return -1;
	}
	for (size_t i = 0; i < len; i++) {
		line[line_used++] = text[i];
		if (text[i] == '\n' || line_used == sizeof(line))
			line_flush();
	}
	return (_READ_WRITE_RETURN_TYPE)len;
}

void *sbrk(ptrdiff_t change)
{
	static uint64_t end;
	uint64_t now = end, asked;

	if (end == 0 && hv_brk(0, &now) != 0)
		goto fail;
	end = now;
	asked = end + (uint64_t)change; /* hv checks the range */
	if (change != 0 && hv_brk(asked, &now) != 0)
		goto fail;
	/* hv answers with a whole page perhaps; newlib is promised exactly what it asked. */
	now = end;
	end = asked;
	return (void *)(uintptr_t)now;
fail:
	errno = ENOMEM;
	return (void *)-1;
}

void _exit(int code)
{
	if (line_used)
		line_flush();
	hv_exit((uint64_t)code, "_exit called", sizeof("_exit called") - 1);
}

/* UTC from the machine's clock at start; programs without the right to ask (vmm) get the time since start. */
int gettimeofday(struct timeval *tv, void *zone)
{
	static uint64_t epoch;
	static bool asked;
	struct hv_host_info host;
	uint64_t now = rt_now();

	(void)zone;
	if (!asked && hv_host_info(&host) == 0)
		epoch = host.boot_epoch;
	asked = true;
	tv->tv_sec = (time_t)(epoch + now / 1000000000u);
	tv->tv_usec = (suseconds_t)(now % 1000000000u / 1000u);
	return 0;
}

int fstat(int fd, struct stat *st)
{
	if (fd < STDIN_FILENO || fd > STDERR_FILENO) {
		errno = EBADF;
		return -1;
	}
	*st = (struct stat){.st_mode = S_IFCHR};
	return 0;
}

int isatty(int fd)
{
	return fd >= STDIN_FILENO && fd <= STDERR_FILENO;
}

_READ_WRITE_RETURN_TYPE read(int fd, void *buf, size_t len)
{
	(void)buf;
	(void)len;
	if (fd == STDIN_FILENO)
		return 0;
	errno = EBADF;
	return -1;
}

pid_t getpid(void)
{
	return 1;
}

static int unsupported(void)
{
	errno = ENOSYS;
	return -1;
}

off_t lseek(int fd, off_t offset, int whence)
{
	(void)fd;
	(void)offset;
	(void)whence;
	errno = ESPIPE;
	return -1;
}

int close(int fd)
{
	(void)fd;
	return unsupported();
}

int open(const char *path, int flags, ...)
{
	(void)path;
	(void)flags;
	return unsupported();
}

int kill(pid_t pid, int signal)
{
	(void)pid;
	rt_die("signal %d raised", signal); /* abort() and raise() inside newlib */
}

clock_t times(struct tms *t)
{
	(void)t;
	return (clock_t)unsupported();
}

int stat(const char *path, struct stat *st)
{
	(void)path;
	(void)st;
	return unsupported();
}

int unlink(const char *path)
{
	(void)path;
	return unsupported();
}

int link(const char *from, const char *to)
{
	(void)from;
	(void)to;
	return unsupported();
}

pid_t fork(void)
{
	return unsupported();
}

int execve(const char *path, char *const argv[], char *const envp[])
{
	(void)path;
	(void)argv;
	(void)envp;
	return unsupported();
}

pid_t wait(int *status)
{
	(void)status;
	return unsupported();
}

/* The seed in the information page is for seeding generators that say so; this promises more. */
int getentropy(void *buf, size_t len)
{
	(void)buf;
	(void)len;
	return unsupported();
}
