/* From mbufs to cells and back, and a thread's stock of cells while it is in a driver. */
#ifndef MILLRACE_CELLS_H
#define MILLRACE_CELLS_H

#include "shim.h"
#include <rte_mbuf.h>

#define MR_HEADER 64
#define MR_STRIDE 192
#define MR_STOCK 512

struct mr_stock {
	const struct mr_pool *pool; /* whose cells; none while the thread is in no driver */
	void *cache;
	uint32_t starved; /* times that there was no cell */
	uint32_t count;
	uint32_t cells[MR_STOCK];
};

extern __thread struct mr_stock mr_stock;

static inline struct rte_mbuf *mr_mbuf_of(const struct mr_pool *pool, uint32_t cell)
{
	return (struct rte_mbuf *)(pool->mbufs + (size_t)cell * MR_STRIDE);
}

static inline uint32_t mr_cell_of(const struct mr_pool *pool, const void *mbuf)
{
	/* Lines of 64 bytes fit 32 bits: 16 million cells have 50 million. */
	return (uint32_t)(((uintptr_t)mbuf - (uintptr_t)pool->mbufs) >> 6) / (MR_STRIDE >> 6);
}

#endif
