/*
 * The router's pool as a mempool: an mbuf for each cell, bound to it for ever, and the router's own lists of free cells behind the
 * mempool's operations. There is one pool, and which cell an mbuf has is arithmetic.
 */
#include "shim.h"
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>
#include "cells.h"

/* Cells that a thread takes for drivers that ask for them one by one. */
#define AHEAD 32

_Static_assert(sizeof(struct rte_mempool_objhdr) <= MR_HEADER, "the mempool's header fits in front of an mbuf");
_Static_assert(sizeof(struct rte_mbuf) + MR_HEADER == MR_STRIDE, "mbufs lie MR_STRIDE apart");
_Static_assert(sizeof(struct mr_part) == 8 && sizeof(struct mr_info) == 160, "as lib.rs says");

__thread struct mr_stock mr_stock;

void mr_enter(const struct mr_pool *pool, void *cache)
{
	mr_stock.pool = pool;
	mr_stock.cache = cache;
}

void mr_leave(void)
{
	if (mr_stock.count != 0)
		mr_stock.pool->cache_put(mr_stock.cache, mr_stock.cells, mr_stock.count);
	mr_stock.count = 0;
	mr_stock.pool = NULL;
}

static int enqueue(struct rte_mempool *mp, void *const *objects, unsigned int n)
{
	const struct mr_pool *pool = mp->pool_config;
	unsigned int i;

	if (likely(mr_stock.pool == pool)) {
		for (i = 0; i < n; i++) {
			if (unlikely(mr_stock.count == MR_STOCK)) {
				pool->cache_put(mr_stock.cache, mr_stock.cells, MR_STOCK);
				mr_stock.count = 0;
			}
			mr_stock.cells[mr_stock.count++] = mr_cell_of(pool, objects[i]);
		}
		return 0;
	}
	for (i = 0; i < n; i++) {
		uint32_t cell = mr_cell_of(pool, objects[i]);
		pool->depot_put(pool->depot, &cell, 1);
	}
	return 0;
}

/* As many cells as asked for, into `objects`, or none. */
static int dequeue_from_depot(const struct mr_pool *pool, void **objects, unsigned int n)
{
	uint32_t cells[64];
	unsigned int done = 0, i;

	while (done < n) {
		uint32_t wanted = RTE_MIN(n - done, 64u);
		uint32_t got = pool->depot_take(pool->depot, cells, wanted);
		for (i = 0; i < got; i++)
			objects[done + i] = mr_mbuf_of(pool, cells[i]);
		done += got;
		if (got < wanted) {
			for (i = 0; i < done; i++) {
				uint32_t cell = mr_cell_of(pool, objects[i]);
				pool->depot_put(pool->depot, &cell, 1);
			}
			return -ENOENT;
		}
	}
	return 0;
}

static int dequeue(struct rte_mempool *mp, void **objects, unsigned int n)
{
	const struct mr_pool *pool = mp->pool_config;
	struct mr_stock *stock = &mr_stock;
	unsigned int i;

	if (unlikely(stock->pool != pool || n > MR_STOCK))
		return dequeue_from_depot(pool, objects, n);
	if (stock->count < n) {
		uint32_t missing = n - stock->count;
		uint32_t wanted = RTE_MIN(RTE_MAX(missing, (uint32_t)AHEAD), MR_STOCK - stock->count);
		stock->count += pool->cache_take(stock->cache, stock->cells + stock->count, wanted);
		if (unlikely(stock->count < n)) {
			stock->starved++;
			return -ENOENT;
		}
	}
	stock->count -= n;
	for (i = 0; i < n; i++)
		objects[i] = mr_mbuf_of(pool, stock->cells[stock->count + i]);
	return 0;
}

static int no_data(struct rte_mempool *mp)
{
	(void)mp;
	return 0;
}

/* Drivers ask whether a ring's worth can be had; nothing is promised. */
static unsigned int get_count(const struct rte_mempool *mp)
{
	return mp->size;
}

static int populate(struct rte_mempool *mp, unsigned int most, void *memory, rte_iova_t iova, size_t len,
		    rte_mempool_populate_obj_cb_t *add, void *arg)
{
	unsigned int i;

	(void)iova;
	if (len < (size_t)most * MR_STRIDE)
		return -ENOMEM;
	for (i = 0; i < most; i++) {
		uint8_t *mbuf = (uint8_t *)memory + (size_t)i * MR_STRIDE + MR_HEADER;
		add(mp, arg, mbuf, (rte_iova_t)(uintptr_t)mbuf);
	}
	return (int)most;
}

static const struct rte_mempool_ops operations = {
	.name = "millrace",
	.alloc = no_data,
	.enqueue = enqueue,
	.dequeue = dequeue,
	.get_count = get_count,
	.populate = populate,
};

RTE_MEMPOOL_REGISTER_OPS(operations)

/* Bytes of memory, aligned to a cache line, that mr_pool_create needs. */
size_t mr_pool_bytes(uint32_t count)
{
	return (size_t)count * MR_STRIDE;
}

/* Makes the mempool of a pool, whose mbufs lie in `memory`; both stay for ever. */
int mr_pool_create(struct mr_pool *pool, const char *name, void *memory, size_t len)
{
	struct rte_pktmbuf_pool_private private = { .mbuf_data_room_size = (uint16_t)pool->cell };
	struct rte_mempool *mp;
	uint32_t i;
	int error;

	mp = rte_mempool_create_empty(name, pool->count, sizeof(struct rte_mbuf), 0, sizeof(private), SOCKET_ID_ANY,
				      RTE_MEMPOOL_F_NO_SPREAD);
	if (mp == NULL)
		return -rte_errno;
	pool->mempool = mp;
	pool->mbufs = (uint8_t *)memory + MR_HEADER;
	error = rte_mempool_set_ops_byname(mp, operations.name, pool);
	if (error == 0) {
		rte_pktmbuf_pool_init(mp, &private);
		error = rte_mempool_populate_iova(mp, memory, (rte_iova_t)(uintptr_t)memory, len, NULL, NULL);
	}
	if (error < 0 || mp->populated_size != pool->count) {
		rte_mempool_free(mp);
		return error < 0 ? error : -ENOMEM;
	}
	for (i = 0; i < pool->count; i++) {
		struct rte_mbuf *mbuf = mr_mbuf_of(pool, i);
		memset(mbuf, 0, sizeof(*mbuf));
		mbuf->buf_addr = pool->cells + (size_t)i * pool->cell;
		rte_mbuf_iova_set(mbuf, (rte_iova_t)(uintptr_t)mbuf->buf_addr);
		mbuf->buf_len = (uint16_t)pool->cell;
		mbuf->data_off = RTE_PKTMBUF_HEADROOM;
		mbuf->pool = mp;
		mbuf->nb_segs = 1;
		mbuf->port = RTE_MBUF_PORT_INVALID;
		rte_mbuf_refcnt_set(mbuf, 1);
	}
	return 0;
}

/* Tells the environment of the cells' memory, so that devices may be given access to it, at the addresses that it has here. */
int mr_pool_register(const struct mr_pool *pool, size_t len, size_t page)
{
	unsigned int n = (unsigned int)(len / page), i;
	rte_iova_t *pages;
	int error;

	if (rte_eal_iova_mode() != RTE_IOVA_VA)
		return -ENOTSUP;
	pages = malloc(n * sizeof(*pages));
	if (pages == NULL)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		pages[i] = (rte_iova_t)(uintptr_t)pool->cells + i * page;
	error = rte_extmem_register(pool->cells, len, pages, n, page) == 0 ? 0 : -rte_errno;
	free(pages);
	return error;
}
