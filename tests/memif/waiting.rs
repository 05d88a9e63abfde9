//! A memif on which nothing happens costs nothing, and a packet on it is taken at once.

use crate::net::{BEHIND, Net, WAYS, With};
use std::time::Duration;

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
fn an_idle_memif_lets_the_worker_sleep_and_a_packet_wakes_it() {
    for (role, keys) in WAYS {
        let config = "workers: {count: 1, mode: adaptive}";
        let mut net = Net::with(role, With { keys, config, ..With::default() });
        net.peer.forward("icmpecho");
        net.lan.ping(BEHIND);
        let pid = net.router.process().pid();
        let (span, before) = (Duration::from_secs(2), cpu_time(pid));
        std::thread::sleep(span);
        let percent = (cpu_time(pid) - before).as_secs_f64() / span.as_secs_f64() * 100.0;
        assert!(percent < 2.0, "{role:?} {keys}: an idle router uses {percent:.2} % of a core");
        // The echo rings the worker that sleeps: its round trip is no nap.
        let output = net.lan.run(&format!("ping -n -c 10 -i 0.1 -W 2 {BEHIND}")).ok();
        let fastest = output.split("= ").last().and_then(|times| times.split('/').next());
        let fastest: f64 = fastest.and_then(|time| time.parse().ok()).expect("times");
        assert!(fastest < 2.0, "{role:?} {keys}: {output}");
    }
}
