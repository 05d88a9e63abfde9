//! The rows of the table, in its order.

use crate::report::Row;
use crate::{af_xdp, dpdk, failover, flood, forward, idle, ip6, l2, memif, nat44, routes, updates, valgrind, vxlan};

const CLOCKS: &str = Row::CLOCKS;

/// All rows.
pub const ROWS: &[Row] = &[
    Row::new("ip4-1-prefix", CLOCKS, forward::one_prefix).target(45.0).paced(),
    Row::new("ip4-1m-routes", CLOCKS, routes::forward).target(55.0).paced(),
    Row::new("route-load-1m", "seconds", routes::load).target(2.0).paced(),
    Row::new("route-memory-1m", "MB", routes::memory).target(150.0),
    Row::new("route-updates", "updates/s", updates::run).target(1e5).more().paced(),
    Row::new("next-hop-failover", "milliseconds", failover::run).target(10.0).noise(5.0),
    Row::new("ip6-1-prefix", CLOCKS, ip6::one_prefix).target(50.0).paced(),
    Row::new("ip6-250k-routes", CLOCKS, ip6::routes).target(100.0).paced(),
    Row::new("l2-bridge", CLOCKS, l2::small).target(40.0).paced(),
    Row::new("l2-bridge-65k", CLOCKS, l2::large).target(70.0).paced(),
    Row::new("workers-2", "times one worker", forward::two_workers).target(1.9).more().needs("a second processor"),
    Row::new("nat44-65k", CLOCKS, nat44::small).target(100.0).paced(),
    Row::new("nat44-1m", CLOCKS, nat44::large).target(140.0).paced(),
    Row::new("nat44-new-sessions", "sessions/s", nat44::new_sessions).target(2e6).more().paced(),
    Row::new("nat44-session-bytes", "bytes", nat44::session_bytes).target(160.0),
    Row::new("l2-flood-8", "clocks/copy", flood::short).paced(),
    Row::new("l2-flood-8-1518", "clocks/copy", flood::long).paced(),
    Row::new("vxlan-encap", CLOCKS, vxlan::encap).paced(),
    Row::new("vxlan-decap", CLOCKS, vxlan::decap).paced(),
    // Before loads in this process, which keep huge pages until it ends.
    Row::new("dpdk-null-io", "clocks above testpmd", dpdk::null_io).target(25.0).noise(3.0).needs("dpdk-testpmd"),
    Row::new("memif-to-memif", "Mpps without loss", memif::run).target(5.0).more().paced().needs("a second processor"),
    Row::new("af-xdp-veth", "times af-packet", af_xdp::run).target(1.5).more().needs("a second processor"),
    Row::new("idle-cpu-percent", "% of a core", idle::cpu_percent).target(1.0).noise(0.5),
    Row::new("instructions-per-packet", "instructions", valgrind::instructions).needs("valgrind"),
    Row::new("icache-misses-1", "misses/packet", || valgrind::misses(1)).noise(0.5).needs("valgrind"),
    Row::new("icache-misses-4", "misses/packet", || valgrind::misses(4)).noise(0.5).needs("valgrind"),
    Row::new("icache-misses-16", "misses/packet", || valgrind::misses(16)).noise(0.5).needs("valgrind"),
    Row::new("icache-misses-64", "misses/packet", || valgrind::misses(64)).noise(0.5).needs("valgrind"),
    Row::new("icache-misses-256", "misses/packet", || valgrind::misses(256)).noise(0.5).needs("valgrind"),
];
