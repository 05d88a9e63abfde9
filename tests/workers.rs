//! Workers: how many, where, and how they wait.
#![allow(clippy::expect_used)] // the helpers of tests are tests, too

use harness::{Hosts, HttpServer, Iperf};
use std::time::Duration;

fn with(workers: &str) -> Hosts {
    Hosts::start(&format!("workers: {workers}\n"))
}

#[test]
fn traffic_passes_whatever_the_workers() {
    for workers in ["{count: 1}", "{count: 2}", "{count: 2, cpus: [0, 1]}", "{count: 1, mode: polling}", "{count: 3}"] {
        let net = with(workers);
        net.lan.ping("203.0.113.10");
        net.wan.ping("192.168.1.1");
        HttpServer::start(&net.wan, 8 << 20).fetch(&net.lan);
        assert!(Iperf::run(&net.wan, &net.lan, 1, "-P 2").bits_per_second > 20e6, "{workers}");
    }
}

#[test]
fn they_are_listed() {
    let net = with("{count: 2, cpus: [0, 1], mode: adaptive}");
    let rows = net.router.list("show workers");
    let facts: Vec<_> =
        rows.iter().map(|row| (row["worker"].as_u64(), row["cpu"].as_u64(), row["mode"].as_str())).collect();
    assert_eq!(facts, [(Some(0), Some(0), Some("adaptive")), (Some(1), Some(1), Some("adaptive"))]);
    let mut queues: Vec<_> = rows.iter().filter_map(|row| row["queues"].as_array()).flatten().collect();
    queues.sort_by_key(|queue| queue.to_string());
    assert_eq!(queues, ["lan/0", "wan/0"], "every queue has a worker");
}

/// CPU time that all threads of a process have used.
fn cpu_time(pid: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the threads").flatten();
    let used = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        text.split_whitespace().next().and_then(|nanoseconds| nanoseconds.parse().ok()).unwrap_or(0)
    };
    Duration::from_nanos(tasks.map(used).sum())
}

#[test]
fn an_idle_router_sleeps() {
    let mut net = with("{count: 2, mode: adaptive}");
    net.lan.ping("203.0.113.10");
    let pid = net.router.process().pid();
    let (span, before) = (Duration::from_secs(4), cpu_time(pid));
    std::thread::sleep(span);
    let percent = (cpu_time(pid) - before).as_secs_f64() / span.as_secs_f64() * 100.0;
    assert!(percent < 1.0, "an idle router uses {percent:.2} % of a core");
    // And it wakes at once: the round trip of a ping is no nap.
    let output = net.lan.run("ping -n -c 5 -i 0.3 203.0.113.10").ok();
    let fastest: f64 = output
        .split("= ")
        .last()
        .and_then(|times| times.split('/').next())
        .and_then(|t| t.parse().ok())
        .expect("times");
    assert!(fastest < 2.0, "{output}");
}
