//! A walk of one router, and the fresh ones that it is compared with.

use crate::configs::{self, in_lab, meant};
use crate::edits;
use crate::random::Random;
use crate::traffic::{Traffic, wires};
use crate::views::{View, difference, look};
use harness::account::Books;
use harness::{Lab, PATIENCE, Router, SIGHUP, SIGTERM, Wire, millctl, within};
use millrace_config::{Config, parse};
use serde_json::Value;
use std::time::{Duration, Instant};

/// What a router has when it starts, and keeps.
const BASE: &str = "{}";
/// In so many steps one is compared.
const LOOK_EVERY: usize = 2;

pub struct Walk {
    seed: u64,
    random: Random,
    lab: Lab,
    router: Router,
    traffic: Traffic,
    /// Where fresh ones are.
    other: Lab,
    _wires: Vec<Wire>,
    /// Where the walk is: the tree that configurations are made of. After edits by command it is somewhere near.
    tree: Value,
    /// The running configuration.
    config: Config,
    /// The configurations that ran, by revision.
    revisions: Vec<(u64, Config)>,
    /// What was done since the last look.
    lately: Vec<String>,
    slowest: (Duration, String),
    kernel: String,
}

impl Walk {
    pub fn start(seed: u64) -> Walk {
        let (lab, other) = (Lab::new(), Lab::new());
        let wires = wires(&other);
        let traffic = Traffic::start(&lab, seed);
        let kernel = kernel(&lab);
        let router = lab.start(BASE);
        let config = parse(BASE, "").unwrap();
        let mut walk = Walk {
            seed,
            random: Random::new(seed),
            router,
            traffic,
            tree: configs::empty(),
            config,
            revisions: Vec::new(),
            lately: Vec::new(),
            slowest: (Duration::ZERO, String::new()),
            kernel,
            lab,
            other,
            _wires: wires,
        };
        walk.remember();
        walk
    }

    pub fn step(&mut self) {
        let begin = Instant::now();
        match self.random.below(16) {
            0..6 => self.apply(),
            6..12 => self.edit(),
            12 => self.rollback(),
            13 => self.unconfirmed(),
            14 => self.hang_up(),
            _ => self.clear(),
        }
        let took = begin.elapsed();
        let what = self.lately.last().cloned().unwrap_or_default();
        if took > self.slowest.0 && !what.starts_with("confirm") {
            self.slowest = (took, what);
        }
        let shown = self.shown();
        assert_eq!(shown, self.config.to_yaml(), "{}", self.story());
        if self.random.one_in(LOOK_EVERY) {
            self.compare();
        }
    }

    /// The running configuration, as it shows it.
    fn shown(&self) -> String {
        self.router.run("show configuration")
    }

    fn story(&self) -> String {
        format!("seed {}, after\n{}", self.seed, self.lately.join("\n"))
    }

    fn remember(&mut self) {
        let newest = self.router.list("config history").iter().filter_map(|row| row["revision"].as_u64()).max();
        let newest = newest.unwrap_or(0);
        if self.revisions.last().is_none_or(|(last, _)| *last != newest) {
            self.revisions.push((newest, self.config.clone()));
        }
    }

    fn next_file(&mut self, name: &str) -> std::path::PathBuf {
        self.tree = configs::next(&mut self.random, &self.tree, &self.lab);
        let text = in_lab(&configs::text(&self.tree), &self.lab);
        self.lab.files.write(name, text)
    }

    fn apply(&mut self) {
        let file = self.next_file("next.yaml");
        self.lately.push(format!("apply {}", configs::text(&self.tree)));
        let done = self.router.ctl(&format!("config apply {}", file.display()));
        assert_eq!(done.code, 0, "{done:?} {}", self.story());
        self.config = meant(&self.tree, &self.lab).unwrap();
        self.remember();
    }

    fn edit(&mut self) {
        let words: Vec<String> = edits::edit(&mut self.random).iter().map(|word| in_lab(word, &self.lab)).collect();
        let before = self.shown();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let done = millctl(&self.router.socket(), &words);
        self.lately.push(format!("{} => {} {}", words.join(" "), done.code, done.stderr.trim()));
        let after = self.shown();
        if done.code == 0 {
            self.config = parse(&after, "shown").unwrap_or_else(|errors| panic!("{errors:?} {}", self.story()));
            self.remember();
            return;
        }
        assert!(matches!(done.code, 1 | 2), "{}", self.story());
        assert_eq!(after, before, "{}", self.story());
    }

    fn rollback(&mut self) {
        let kept = self.revisions.len().saturating_sub(10);
        let (revision, config) = self.random.of(&self.revisions[kept..]);
        let done = self.router.ctl(&format!("config rollback {revision}"));
        self.lately.push(format!("rollback {revision} => {} {} to\n{}", done.code, done.stderr, config.to_yaml()));
        assert_eq!(done.code, 0, "{}", self.story());
        self.config = config;
        self.remember();
    }

    fn unconfirmed(&mut self) {
        let before = self.shown();
        let tree = self.tree.clone();
        let file = self.next_file("next.yaml");
        self.lately.push(format!("confirm {}", configs::text(&self.tree)));
        let done = self.router.ctl(&format!("config apply {} confirm 1", file.display()));
        assert_eq!(done.code, 0, "{done:?} {}", self.story());
        let undone = within(PATIENCE, || (self.shown() == before).then_some(()));
        assert!(undone.is_some(), "{}", self.story());
        // What changed nothing may wait still.
        let _ = self.router.ctl("config confirm");
        self.tree = tree;
        self.remember();
    }

    fn hang_up(&mut self) {
        let file = self.next_file("next.yaml");
        self.lately.push(format!("SIGHUP {}", configs::text(&self.tree)));
        self.router.write_config(&std::fs::read_to_string(file).unwrap());
        self.config = meant(&self.tree, &self.lab).unwrap();
        self.router.process().signal(SIGHUP);
        let read = within(PATIENCE, || (self.shown() == self.config.to_yaml()).then_some(()));
        assert!(read.is_some(), "{}\n{}", self.story(), self.router.log());
        self.remember();
    }

    fn clear(&mut self) {
        let command = self.random.of(&["clear mac-table", "clear neighbors", "clear counters"]);
        self.router.run(command);
        self.lately.push(command.to_owned());
    }

    /// What the router shows, as soon as it shows the same as one that was started with its configuration.
    fn compare(&mut self) {
        let text = self.config.to_yaml().replace(&self.lab.files.display().to_string(), "@DIR@");
        let mut fresh = Router::start(&self.other, &in_lab(&text, &self.other));
        let folders = [&self.lab, &self.other].map(|lab| lab.files.display().to_string());
        let config = self.config.clone();
        let looks = || -> [View; 2] { [look(&self.router, &config, &folders[0]), look(&fresh, &config, &folders[1])] };
        let same = within(PATIENCE, || {
            let [one, other] = looks();
            difference(&one, &other).is_none().then_some(())
        });
        if same.is_none() {
            let [one, other] = looks();
            let differ = difference(&one, &other).unwrap_or_default();
            panic!("{differ}\n{}\n{text}", self.story());
        }
        self.healthy();
        fresh.end(SIGTERM).code(0);
        self.lately.clear();
    }

    /// Nothing failed on the way.
    fn healthy(&mut self) {
        let errors = self.router.run("show errors");
        assert!(!errors.contains("panic"), "{errors} {}", self.story());
        let log = self.router.log();
        let bad: Vec<&str> = log.lines().filter(|line| line.contains("ERROR") || line.contains("panicked")).collect();
        assert!(bad.is_empty(), "{} {}", bad.join("\n"), self.story());
        assert!(self.router.process().ended().is_none(), "it ended {}", self.story());
    }

    /// Walks back to nothing, where nothing is left.
    pub fn end(mut self) {
        self.compare();
        self.traffic.pause(true);
        let nothing = self.lab.files.write("nothing.yaml", BASE);
        self.router.run(&format!("config apply {}", nothing.display()));
        self.config = parse(BASE, "").unwrap();
        let balanced = within(PATIENCE, || {
            let books = Books::read(&self.router);
            let out = books.sent + books.dropped + books.consumed;
            let even = books.received + books.made == out && books.causes == books.dropped && books.buffers == 0;
            even.then_some(())
        });
        let books = || format!("{:#?}\n{}", Books::read(&self.router), self.router.run("show errors"));
        assert!(balanced.is_some(), "seed {}: {}", self.seed, books());
        for listing in [
            "show interfaces",
            "show bridges",
            "show mac-table",
            "show vxlan",
            "show tunnels",
            "show mirrors",
            "show neighbors",
        ] {
            // Stations are forgotten piece by piece.
            let nothing = within(PATIENCE, || self.router.list(listing).is_empty().then_some(()));
            assert!(nothing.is_some(), "seed {}: {listing}: {}", self.seed, self.router.run(listing));
        }
        self.compare();
        assert_eq!(kernel(&self.lab), self.kernel, "seed {}", self.seed);
        let left: Vec<_> =
            std::fs::read_dir(&*self.lab.files).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".sock")), "{left:?}");
        eprintln!("seed {}: the slowest step took {:?}: {}", self.seed, self.slowest.0, self.slowest.1);
        self.router.end(SIGTERM).code(0);
    }
}

/// What the kernel knows of the router's namespace: its devices, and who may speak IPv6 there. MTUs are only ever raised.
fn kernel(lab: &Lab) -> String {
    let links = lab.router.ip("-o link show");
    let links: Vec<&str> = links.lines().map(|line| line.split(" mtu ").next().unwrap_or(line)).collect();
    let ipv6 = lab.router.run("sysctl -a -r disable_ipv6").stdout;
    format!("{}\n{ipv6}", links.join("\n"))
}
