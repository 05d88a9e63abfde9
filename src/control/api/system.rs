//! The daemon itself as the API shows it: version, memory, events, log.

use crate::control::routes::Family;
use crate::control::{Router, log as lines, time};
use millrace_api::v1::{Buffers, Event, ListEventsReply, ListLogReply, ListMemoryReply, LogLine, MemoryArea, Version};
use millrace_engine::memory::HUGE_PAGE;
use millrace_engine::pool;

/// Bytes in a page of this processor.
const PAGE: u64 = 4096;

pub fn version(router: &Router) -> Version {
    Version {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("MILLRACE_COMMIT").unwrap_or("unknown").to_owned(),
        cpu_variant: router.engine.cpu_variant().to_owned(),
        pid: std::process::id(),
        uptime_seconds: router.started.elapsed().as_secs(),
        config_file: router.options.config_file.display().to_string(),
    }
}

pub fn buffers(router: &Router) -> Buffers {
    let pool = router.engine.pool();
    let (usage, region) = (pool.usage(), pool.region());
    Buffers {
        total: usage.total as u64,
        free: usage.free as u64,
        cached: usage.cached as u64,
        in_use: usage.in_use as u64,
        data_bytes: pool::DATA as u32,
        region_bytes: region.len() as u64,
        page_bytes: if region.huge() { HUGE_PAGE as u64 } else { PAGE },
    }
}

pub fn memory(router: &Router) -> ListMemoryReply {
    let area = |area: String, bytes: usize, entries: usize| MemoryArea {
        area,
        bytes: bytes as u64,
        entries: Some(entries as u64),
    };
    let pool = router.engine.pool();
    let mut areas = vec![MemoryArea { area: "process".to_owned(), bytes: resident(), entries: None }];
    areas.push(area("buffers".to_owned(), pool.region().len(), pool.usage().total));
    for (name, table) in &router.vrfs {
        for (fib, family) in [("ip4-fib", Family::Ip4), ("ip6-fib", Family::Ip6)] {
            let (bytes, routes) = (router.routes.memory_bytes(*table, family), router.routes.count(*table, family));
            areas.push(area(format!("{fib} {name}"), bytes, routes));
        }
    }
    let (adjacencies, balances) = (router.routes.adjacencies().count(), router.routes.balances());
    areas.push(area(
        "adjacencies".to_owned(),
        adjacencies * size_of::<millrace_tables::adjacency::Adjacency>(),
        adjacencies,
    ));
    let balance = size_of::<millrace_tables::load_balance::LoadBalance>();
    areas.push(area("load-balances".to_owned(), balances * balance, balances));
    let nat44 = router.nat44.on_each(&router.engine, |state, _, _| (state.memory(), state.flows.len() as usize));
    let (bytes, sessions) = nat44.into_iter().fold((0, 0), |(b, s), (bytes, sessions)| (b + bytes, s + sessions));
    areas.push(area("nat44-sessions".to_owned(), bytes, sessions));
    ListMemoryReply { areas }
}

/// Bytes of the process that lie in memory; 0 when the system doesn't say.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * PAGE
}

pub fn events(router: &Router, limit: usize) -> ListEventsReply {
    let event = |event: &crate::control::events::Event| Event {
        time: time::millis(event.time),
        severity: event.severity.as_str().to_owned(),
        source: event.source.clone(),
        text: event.text.clone(),
    };
    ListEventsReply { events: router.events.newest(limit).map(event).collect() }
}

pub fn log(limit: usize) -> ListLogReply {
    let line = |line: lines::Line| LogLine {
        time: time::millis(line.time),
        level: line.level,
        target: line.target,
        text: line.text,
    };
    ListLogReply { lines: lines::newest(limit).into_iter().map(line).collect() }
}
