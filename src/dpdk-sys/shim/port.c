/* The control side of a port. */
#include "shim.h"
#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <string.h>

#define CHECKSUMS (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM)
#define HASHES (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP)

/* Finds or makes a device, and its first port. -EEXIST: it is there already. */
int mr_probe(const char *device, uint16_t *port)
{
	struct rte_dev_iterator all;
	uint16_t found = RTE_MAX_ETHPORTS, id;
	int error;

	RTE_ETH_FOREACH_MATCHING_DEV(id, device, &all) {
		rte_eth_iterator_cleanup(&all);
		return -EEXIST;
	}
	error = rte_dev_probe(device);
	if (error < 0)
		return error;
	RTE_ETH_FOREACH_MATCHING_DEV(id, device, &all) {
		found = id;
		rte_eth_iterator_cleanup(&all);
		break;
	}
	if (found == RTE_MAX_ETHPORTS)
		return -ENODEV;
	*port = found;
	return 0;
}

/* Closes the port, which is stopped, and removes its device. */
int mr_remove(uint16_t port)
{
	struct rte_eth_dev_info info;
	int error = rte_eth_dev_info_get(port, &info);

	if (error != 0)
		return error;
	error = rte_eth_dev_close(port);
	if (error != 0)
		return error;
	return rte_dev_remove(info.device);
}

/* Lets the device of the port reach the cells. -ENOTSUP: it needs no leave, as it is none that reads memory by itself. */
int mr_dma_map(uint16_t port, const struct mr_pool *pool, size_t len)
{
	struct rte_eth_dev_info info;
	int error = rte_eth_dev_info_get(port, &info);

	if (error != 0)
		return error;
	return rte_dev_dma_map(info.device, pool->cells, (uint64_t)(uintptr_t)pool->cells, len) == 0 ? 0 : -rte_errno;
}

static int is_pci(const struct rte_eth_dev_info *info)
{
	const struct rte_bus *bus = rte_bus_find_by_device(info->device);

	return bus != NULL && strcmp(rte_bus_name(bus), "pci") == 0;
}

/* As rte_eth_dev_configure limits it. */
static uint16_t max_mtu(const struct rte_eth_dev_info *info)
{
	uint32_t around = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;

	if (info->max_mtu != UINT16_MAX && info->max_rx_pktlen > info->max_mtu)
		around = info->max_rx_pktlen - info->max_mtu;
	if (info->max_rx_pktlen < info->max_mtu + around)
		return (uint16_t)(info->max_rx_pktlen > around ? info->max_rx_pktlen - around : 0);
	return info->max_mtu;
}

int mr_info(uint16_t port, struct mr_info *to)
{
	struct rte_eth_dev_info info;
	struct rte_ether_addr mac;
	int error = rte_eth_dev_info_get(port, &info);

	if (error != 0)
		return error;
	memset(to, 0, sizeof(*to));
	rte_eth_dev_get_name_by_port(port, to->name);
	snprintf(to->driver, sizeof(to->driver), "%s", info.driver_name != NULL ? info.driver_name : "");
	if ((info.rx_offload_capa & CHECKSUMS) != 0)
		to->can |= MR_RX_CHECKSUMS;
	if ((info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER) != 0)
		to->can |= MR_RX_SCATTER;
	if ((info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0)
		to->can |= MR_TX_SEGMENTS;
	if ((info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE) != 0)
		to->can |= MR_TX_FAST_FREE;
	if ((info.flow_type_rss_offloads & HASHES) != 0)
		to->can |= MR_RSS;
	if (info.dev_flags != NULL && (*info.dev_flags & RTE_ETH_DEV_INTR_LSC) != 0)
		to->can |= MR_LINK_EVENTS;
	to->max_rx_queues = info.max_rx_queues;
	to->max_tx_queues = info.max_tx_queues;
	to->min_mtu = info.min_mtu;
	to->max_mtu = max_mtu(&info);
	to->rx_ring_min = info.rx_desc_lim.nb_min;
	to->rx_ring_max = info.rx_desc_lim.nb_max;
	to->rx_ring_align = info.rx_desc_lim.nb_align;
	to->tx_ring_min = info.tx_desc_lim.nb_min;
	to->tx_ring_max = info.tx_desc_lim.nb_max;
	to->tx_ring_align = info.tx_desc_lim.nb_align;
	to->pci = (uint8_t)is_pci(&info);
	if (rte_eth_macaddr_get(port, &mac) == 0)
		memcpy(to->mac, mac.addr_bytes, sizeof(to->mac));
	return 0;
}

/* Sets up a stopped port and its queues. */
int mr_configure(uint16_t port, const struct mr_pool *pool, const struct mr_config *config)
{
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf = { 0 };
	struct rte_eth_txconf tx;
	struct rte_eth_rxconf rx;
	int error = rte_eth_dev_info_get(port, &info);
	int socket = rte_eth_dev_socket_id(port);
	uint16_t i;

	if (error != 0)
		return error;
	if ((config->want & MR_RX_CHECKSUMS) != 0)
		conf.rxmode.offloads |= info.rx_offload_capa & CHECKSUMS;
	if ((config->want & MR_RX_SCATTER) != 0)
		conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_SCATTER;
	if ((config->want & MR_TX_SEGMENTS) != 0)
		conf.txmode.offloads |= info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	if ((config->want & MR_TX_FAST_FREE) != 0)
		conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	if ((config->want & MR_RSS) != 0) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = info.flow_type_rss_offloads & HASHES;
	}
	conf.rxmode.mtu = config->mtu;
	conf.intr_conf.lsc = (config->want & MR_LINK_EVENTS) != 0;
	conf.intr_conf.rxq = (config->want & MR_RX_INTERRUPTS) != 0;
	error = rte_eth_dev_configure(port, config->rx_queues, config->tx_queues, &conf);
	if (error != 0)
		return error;
	/* The driver's thresholds; the queues' offloads are the port's. */
	rx = info.default_rxconf;
	rx.offloads = conf.rxmode.offloads;
	for (i = 0; i < config->rx_queues && error == 0; i++)
		error = rte_eth_rx_queue_setup(port, i, config->rx_ring, (unsigned int)socket, &rx, pool->mempool);
	tx = info.default_txconf;
	tx.offloads = conf.txmode.offloads;
	for (i = 0; i < config->tx_queues && error == 0; i++)
		error = rte_eth_tx_queue_setup(port, i, config->tx_ring, (unsigned int)socket, &tx);
	return error;
}

int mr_port_start(uint16_t port)
{
	return rte_eth_dev_start(port);
}

int mr_port_stop(uint16_t port)
{
	return rte_eth_dev_stop(port);
}

static mr_changed changed_to;

static int on_event(uint16_t port, enum rte_eth_event_type event, void *arg, void *more)
{
	(void)arg;
	(void)more;
	changed_to(port, event == RTE_ETH_EVENT_INTR_RMV);
	return 0;
}

/* Has `changed` called, by a thread of DPDK's, when the link of any port changes or its device goes. Once. */
int mr_watch(mr_changed changed)
{
	int error;

	changed_to = changed;
	error = rte_eth_dev_callback_register(RTE_ETH_ALL, RTE_ETH_EVENT_INTR_LSC, on_event, NULL);
	if (error == 0)
		error = rte_eth_dev_callback_register(RTE_ETH_ALL, RTE_ETH_EVENT_INTR_RMV, on_event, NULL);
	return error;
}

int mr_link(uint16_t port, struct mr_link *to)
{
	struct rte_eth_link link;
	int error = rte_eth_link_get_nowait(port, &link);

	if (error != 0)
		return error;
	to->up = link.link_status == RTE_ETH_LINK_UP;
	to->full_duplex = link.link_duplex == RTE_ETH_LINK_FULL_DUPLEX;
	to->autoneg = link.link_autoneg == RTE_ETH_LINK_AUTONEG;
	to->known = link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN && link.link_speed != RTE_ETH_SPEED_NUM_NONE;
	to->mbps = link.link_speed;
	return 0;
}

int mr_set_mac(uint16_t port, const uint8_t mac[6])
{
	struct rte_ether_addr address;

	memcpy(address.addr_bytes, mac, sizeof(address.addr_bytes));
	return rte_eth_dev_default_mac_addr_set(port, &address);
}

int mr_mtu(uint16_t port, uint16_t *mtu)
{
	return rte_eth_dev_get_mtu(port, mtu);
}

int mr_set_mtu(uint16_t port, uint16_t mtu)
{
	return rte_eth_dev_set_mtu(port, mtu);
}

int mr_set_promiscuous(uint16_t port, int on)
{
	return on ? rte_eth_promiscuous_enable(port) : rte_eth_promiscuous_disable(port);
}

int mr_is_promiscuous(uint16_t port)
{
	return rte_eth_promiscuous_get(port);
}

/* The names of what the port counts; how many there are. With too little room nothing is written. */
int mr_xstats_names(uint16_t port, char (*names)[64], uint32_t room)
{
	_Static_assert(sizeof(struct rte_eth_xstat_name) == 64, "a name is 64 bytes");

	return rte_eth_xstats_get_names(port, (struct rte_eth_xstat_name *)names, room);
}

/* What they have come to, in the order of the names. */
int mr_xstats(uint16_t port, uint64_t *values, uint32_t room)
{
	return rte_eth_xstats_get_by_id(port, NULL, values, room);
}

int mr_xstats_reset(uint16_t port)
{
	return rte_eth_xstats_reset(port);
}

/* Which of its functions a driver has chosen for receiving or sending. */
int mr_burst_mode(uint16_t port, int tx, char *text, size_t room)
{
	struct rte_eth_burst_mode mode = { 0 };
	int error = tx ? rte_eth_tx_burst_mode_get(port, 0, &mode) : rte_eth_rx_burst_mode_get(port, 0, &mode);

	if (error == 0)
		snprintf(text, room, "%s", mode.info);
	return error;
}
