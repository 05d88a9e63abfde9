/* What workers call: bursts, and how they wait. */
#include "shim.h"
#include "cells.h"
#include <rte_ethdev.h>
#include <rte_interrupts.h>

/* Shorter frames make some cards stop a queue. */
#define SHORTEST 17

/* As a driver expects a fresh one: not part of a packet of several. */
static inline void unlink_all(struct rte_mbuf *mbuf)
{
	while (mbuf != NULL) {
		struct rte_mbuf *next = mbuf->next;
		mbuf->next = NULL;
		mbuf->nb_segs = 1;
		mbuf = next;
	}
}

/* Receives at most `most` packets into `parts`, which are MR_PARTS. */
void mr_rx(const struct mr_pool *pool, void *cache, uint16_t port, uint16_t queue, uint16_t most, struct mr_part *parts,
	   struct mr_received *received)
{
	const uint64_t bad = RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_L4_CKSUM_MASK;
	struct rte_mbuf *packets[MR_BURST];
	uint32_t n, i, at = 0;

	mr_enter(pool, cache);
	n = rte_eth_rx_burst(port, queue, packets, RTE_MIN(most, (uint16_t)MR_BURST));
	for (i = 0; i < n; i++) {
		struct rte_mbuf *mbuf = packets[i];
		if (unlikely((mbuf->ol_flags & bad) != 0)) {
			received->bad_ip += (mbuf->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_BAD;
			received->bad_l4 += (mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_BAD;
		}
		if (likely(mbuf->nb_segs == 1)) {
			parts[at].index = mr_cell_of(pool, mbuf);
			parts[at].offset = mbuf->data_off;
			parts[at++].len = mbuf->data_len;
			continue;
		}
		if (unlikely(at + mbuf->nb_segs + (n - i - 1) > MR_PARTS)) {
			received->dropped++;
			rte_pktmbuf_free(mbuf);
			continue;
		}
		while (mbuf != NULL) {
			struct rte_mbuf *next = mbuf->next;
			parts[at].index = mr_cell_of(pool, mbuf) | (next != NULL ? MR_MORE : 0);
			parts[at].offset = mbuf->data_off;
			parts[at++].len = mbuf->data_len;
			mbuf->next = NULL;
			mbuf->nb_segs = 1;
			mbuf = next;
		}
	}
	received->starved += mr_stock.starved;
	mr_stock.starved = 0;
	mr_leave();
	received->packets = n;
	received->parts = at;
}

/* Sends the packets that `n` parts make, at most MR_BURST; how many packets the device has taken. */
uint32_t mr_tx(const struct mr_pool *pool, void *cache, uint16_t port, uint16_t queue, const struct mr_part *parts, uint32_t n)
{
	struct rte_mbuf *packets[MR_BURST];
	uint32_t count = 0, sent = 0, i = 0;

	while (i < n && count < MR_BURST) {
		uint32_t index = parts[i].index;
		struct rte_mbuf *head = mr_mbuf_of(pool, index & ~MR_MORE), *last = head;
		head->data_off = parts[i].offset;
		head->data_len = parts[i].len;
		head->pkt_len = parts[i++].len;
		head->ol_flags = 0;
		packets[count++] = head;
		while (unlikely((index & MR_MORE) != 0 && i < n)) {
			index = parts[i].index;
			last->next = mr_mbuf_of(pool, index & ~MR_MORE);
			last = last->next;
			last->data_off = parts[i].offset;
			last->data_len = parts[i].len;
			last->ol_flags = 0;
			head->pkt_len += parts[i++].len;
			head->nb_segs++;
		}
		if (unlikely(head->pkt_len < SHORTEST && head->nb_segs == 1)) {
			uint16_t missing = SHORTEST - head->data_len;
			char *end = rte_pktmbuf_append(head, missing);
			if (end != NULL)
				memset(end, 0, missing);
		}
	}
	mr_enter(pool, cache);
	while (sent < count) {
		uint16_t taken = rte_eth_tx_burst(port, queue, packets + sent, (uint16_t)(count - sent));
		if (taken == 0)
			break;
		sent += taken;
	}
	mr_leave();
	for (i = sent; i < count; i++)
		unlink_all(packets[i]);
	return sent;
}

/* Gives back what the device has sent; how many packets, or -ENOTSUP when it does so only while it sends. */
int mr_tx_reclaim(const struct mr_pool *pool, void *cache, uint16_t port, uint16_t queue)
{
	int freed;

	mr_enter(pool, cache);
	freed = rte_eth_tx_done_cleanup(port, queue, 0);
	mr_leave();
	return freed;
}

/* Throws away at most `most` packets that wait in a queue which nobody else polls. */
void mr_drain(uint16_t port, uint16_t queue, uint32_t most)
{
	struct rte_mbuf *packets[64];
	uint16_t n;

	while (most > 0 && (n = rte_eth_rx_burst(port, queue, packets, RTE_MIN(most, 64u))) > 0) {
		rte_pktmbuf_free_bulk(packets, n);
		most -= n;
	}
}

/* How many packets wait in a queue, or minus an errno when the driver can't say. */
int mr_rx_waiting(uint16_t port, uint16_t queue)
{
	return rte_eth_rx_queue_count(port, queue);
}

/* Has the queue's interrupt make `epoll` readable. */
int mr_interrupt_open(uint16_t port, uint16_t queue, int epoll)
{
	return rte_eth_dev_rx_intr_ctl_q(port, queue, epoll, RTE_INTR_EVENT_ADD, NULL);
}

/* A driver whose interrupt is a descriptor of the kernel's has it always on, and no function for it. */
int mr_interrupt_arm(uint16_t port, uint16_t queue)
{
	int error = rte_eth_dev_rx_intr_enable(port, queue);

	return error == -ENOTSUP ? 0 : error;
}

/* No interrupts any more; what they wrote is read. */
void mr_interrupt_disarm(uint16_t port, uint16_t queue, int epoll)
{
	struct rte_epoll_event event;

	rte_eth_dev_rx_intr_disable(port, queue);
	rte_epoll_wait(epoll, &event, 1, 0);
}
