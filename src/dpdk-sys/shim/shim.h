/*
 * What the router needs of DPDK, in types of our own: no type of DPDK's crosses this interface, so that Rust needs no bindings to its
 * headers. Numbers in the structures are as lib.rs declares them. Functions that answer int give 0, or minus an errno.
 */
#ifndef MILLRACE_SHIM_H
#define MILLRACE_SHIM_H

#include <stddef.h>
#include <stdint.h>

struct rte_mempool;

/* Set in an index: the packet goes on in the next part. */
#define MR_MORE 0x80000000u
/* The most packets of one burst, and parts of one receive burst. */
#define MR_BURST 256
#define MR_PARTS 1024

/* What a port can do and is asked to do. */
#define MR_RX_CHECKSUMS 1u
#define MR_RX_SCATTER 2u
#define MR_TX_SEGMENTS 4u
#define MR_TX_FAST_FREE 8u
#define MR_RSS 16u
#define MR_LINK_EVENTS 32u
#define MR_RX_INTERRUPTS 64u

/* A piece of a packet in one cell. */
struct mr_part {
	uint32_t index;
	uint16_t offset;
	uint16_t len;
};

/* Where cells come from: `from` is a worker's cache, or the pool itself. */
typedef uint32_t (*mr_take)(void *from, uint32_t *to, uint32_t n);
typedef void (*mr_put)(void *to, const uint32_t *cells, uint32_t n);

/* A pool of the router's, as DPDK sees it: mbuf i is for ever that of cell i. */
struct mr_pool {
	uint8_t *mbufs; /* the first mbuf */
	uint8_t *cells;
	uint32_t cell;
	uint32_t count;
	void *depot;
	mr_take depot_take, cache_take;
	mr_put depot_put, cache_put;
	struct rte_mempool *mempool;
};

struct mr_info {
	char name[64];
	char driver[64];
	uint32_t can;
	uint16_t max_rx_queues, max_tx_queues;
	uint16_t min_mtu, max_mtu;
	uint16_t rx_ring_min, rx_ring_max, rx_ring_align;
	uint16_t tx_ring_min, tx_ring_max, tx_ring_align;
	uint8_t mac[6];
	uint8_t pci;
	uint8_t reserved;
};

struct mr_config {
	uint32_t want;
	uint16_t rx_queues, tx_queues;
	uint16_t rx_ring, tx_ring;
	uint16_t mtu;
	uint16_t reserved;
};

struct mr_link {
	uint32_t mbps;
	uint8_t up, full_duplex, autoneg, known;
};

struct mr_received {
	uint32_t packets, parts;
	uint32_t bad_ip, bad_l4; /* as the card found */
	uint32_t dropped;        /* in more pieces than there is room for */
	uint32_t starved;        /* times that a driver found no free cell */
};

/* eal.c */
typedef void (*mr_log)(uint32_t level, const char *text, size_t len);
int mr_start(int argc, char **argv, mr_log log);
const char *mr_runtime_dir(void);
const char *mr_error(int code);
int mr_thread_register(void);

/* pool.c */
size_t mr_pool_bytes(uint32_t count);
int mr_pool_create(struct mr_pool *pool, const char *name, void *memory, size_t len);
int mr_pool_register(const struct mr_pool *pool, size_t len, size_t page);
/* For burst.c: the thread's cells go to and come from `cache` until mr_leave. */
void mr_enter(const struct mr_pool *pool, void *cache);
void mr_leave(void);

/* port.c */
typedef void (*mr_changed)(uint16_t port, int gone);
int mr_watch(mr_changed changed);
int mr_probe(const char *device, uint16_t *port);
int mr_remove(uint16_t port);
int mr_dma_map(uint16_t port, const struct mr_pool *pool, size_t len);
int mr_info(uint16_t port, struct mr_info *info);
int mr_configure(uint16_t port, const struct mr_pool *pool, const struct mr_config *config);
int mr_port_start(uint16_t port);
int mr_port_stop(uint16_t port);
int mr_link(uint16_t port, struct mr_link *link);
int mr_set_mac(uint16_t port, const uint8_t mac[6]);
int mr_mtu(uint16_t port, uint16_t *mtu);
int mr_set_mtu(uint16_t port, uint16_t mtu);
int mr_set_promiscuous(uint16_t port, int on);
int mr_is_promiscuous(uint16_t port);
int mr_xstats_names(uint16_t port, char (*names)[64], uint32_t room);
int mr_xstats(uint16_t port, uint64_t *values, uint32_t room);
int mr_xstats_reset(uint16_t port);
int mr_burst_mode(uint16_t port, int tx, char *text, size_t room);

/* burst.c */
void mr_rx(const struct mr_pool *pool, void *cache, uint16_t port, uint16_t queue, uint16_t most, struct mr_part *parts,
	   struct mr_received *received);
uint32_t mr_tx(const struct mr_pool *pool, void *cache, uint16_t port, uint16_t queue, const struct mr_part *parts, uint32_t n);
int mr_tx_reclaim(const struct mr_pool *pool, void *cache, uint16_t port, uint16_t queue);
void mr_drain(uint16_t port, uint16_t queue, uint32_t most);
int mr_rx_waiting(uint16_t port, uint16_t queue);
int mr_interrupt_open(uint16_t port, uint16_t queue, int epoll);
int mr_interrupt_arm(uint16_t port, uint16_t queue);
void mr_interrupt_disarm(uint16_t port, uint16_t queue, int epoll);

#endif
