/* The environment: its start, its log, and what threads tell it. */
#define _GNU_SOURCE
#include "shim.h"
#include <errno.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <stdio.h>
#include <stdlib.h>

static mr_log log_to;

static ssize_t log_write(void *cookie, const char *text, size_t len)
{
	(void)cookie;
	int level = rte_log_cur_msg_loglevel();
	log_to(level < 0 ? 0 : (uint32_t)level, text, len);
	return (ssize_t)len;
}

/* Starts the environment, once. Its log goes to `log`, a line or part of one at a time. */
int mr_start(int argc, char **argv, mr_log log)
{
	cookie_io_functions_t functions = { .write = log_write };
	FILE *stream = fopencookie(NULL, "w", functions);
	if (stream == NULL)
		return -ENOMEM;
	setvbuf(stream, NULL, _IOLBF, 1024);
	log_to = log;
	rte_openlog_stream(stream);
	if (rte_eal_init(argc, argv) < 0)
		return rte_errno != 0 ? -rte_errno : -EINVAL;
	return 0;
}

/* The folder that the environment made for its files. */
const char *mr_runtime_dir(void)
{
	return rte_eal_get_runtime_dir();
}

const char *mr_error(int code)
{
	return rte_strerror(code < 0 ? -code : code);
}

/* Tells the environment of a thread that it didn't make. Without, drivers have no place of the thread's own, but work. */
int mr_thread_register(void)
{
	if (rte_lcore_id() != LCORE_ID_ANY)
		return 0;
	return rte_thread_register() == 0 ? 0 : -rte_errno;
}
