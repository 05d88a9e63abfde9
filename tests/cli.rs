//! The shell as a person meets it: golden sessions of `tests/cli/` on a real terminal, and what no transcript shows.
#![allow(clippy::expect_used, clippy::panic)] // the helpers of tests are tests, too

use harness::{Hosts, PATIENCE, Router, Terminal, golden, program};
use std::path::{Path, PathBuf};
use std::process::Command;

const PROMPT: &str = "millrace>";

fn sessions() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(golden::file("cli")).expect("tests/cli/").flatten();
    let mut paths: Vec<_> =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "txt")).collect();
    paths.sort();
    paths
}

/// Each session has its own router between two hosts that have just pinged each other.
#[test]
fn sessions_are_as_they_were_reviewed() {
    let only = std::env::var("SESSION").unwrap_or_default();
    let chosen: Vec<_> = sessions().into_iter().filter(|path| path.display().to_string().contains(&only)).collect();
    assert!(!chosen.is_empty());
    for path in chosen {
        play(&path);
    }
}

fn play(path: &Path) {
    let (lab, lan, wan) = Hosts::lab();
    // What the kernels say in IPv6 of their own accord comes at no certain time, and `show errors` counts it.
    for namespace in [&*lab.router, &*lan, &*wan] {
        namespace.sysctl("net.ipv6.conf.all.disable_ipv6=1");
    }
    let router = lab.start(&golden::configuration(path));
    if router.interface("wan").is_some() {
        lan.ping(&wan.address);
    }
    golden::play(path, &router);
    router.rebase();
}

fn shell(router: &Router, rows: u16) -> Terminal {
    let mut shell = Command::new(program("millctl"));
    shell.arg("-s").arg(router.socket()).env("XDG_STATE_HOME", &**router.files());
    Terminal::run(&mut shell, rows)
}

#[track_caller]
fn prompt(terminal: &Terminal, rows_at_least: usize) -> usize {
    let there = terminal.wait(PATIENCE, |view| view.line() == PROMPT && view.rows.len() >= rows_at_least);
    there.unwrap_or_else(|view| panic!("no prompt: {view:#?}")).rows.len()
}

#[track_caller]
fn shows(terminal: &Terminal, text: &str) {
    let there = terminal.wait(PATIENCE, |view| view.rows.iter().any(|row| row.contains(text)));
    there.unwrap_or_else(|view| panic!("{text:?} does not appear: {view:#?}"));
}

#[test]
fn it_lives_on_when_the_daemon_restarts() {
    let mut net = Hosts::start("");
    let mut terminal = shell(&net.router, 200);
    prompt(&terminal, 1);
    terminal.keys("show interfaces<Enter>");
    shows(&terminal, "wan");
    let row = prompt(&terminal, 2);
    net.router.restart();
    terminal.keys("show version<Enter>");
    shows(&terminal, env!("CARGO_PKG_VERSION"));
    prompt(&terminal, row + 1);
    terminal.keys("<Ctrl-D>");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn it_says_when_the_daemon_is_gone() {
    let mut net = Hosts::start("");
    let mut terminal = shell(&net.router, 200);
    prompt(&terminal, 1);
    net.router.end(harness::SIGTERM);
    terminal.keys("show version<Enter>");
    shows(&terminal, "api.sock");
    let row = prompt(&terminal, 2);
    net.router.start_again();
    terminal.keys("show version<Enter>");
    prompt(&terminal, row + 1);
    shows(&terminal, env!("CARGO_PKG_VERSION"));
}

#[test]
fn history_is_kept_for_the_next_time() {
    let net = Hosts::start("");
    let mut first = shell(&net.router, 200);
    prompt(&first, 1);
    first.keys("show buffers<Enter>");
    prompt(&first, 2);
    first.keys("<Ctrl-D>");
    assert_eq!(first.end(), 0);
    let mut second = shell(&net.router, 200);
    prompt(&second, 1);
    second.keys("<Up>");
    shows(&second, "millrace> show buffers");
    second.keys("<Ctrl-C>");
    prompt(&second, 2);
    second.keys("exit<Enter>");
    assert_eq!(second.end(), 0);
}

#[test]
fn long_output_is_paged_on_a_terminal() {
    let net = Hosts::start("");
    let all = net.router.run("help").lines().count();
    let mut terminal = shell(&net.router, 12);
    prompt(&terminal, 1);
    terminal.keys("help<Enter>");
    let paged =
        terminal.wait(PATIENCE, |view| view.rows.len() == 12 && view.line() != PROMPT && !view.line().is_empty());
    paged.unwrap_or_else(|view| panic!("{all} lines went by on a screen of 12: {view:#?}"));
    terminal.keys("q");
    prompt(&terminal, 1);
}

#[test]
fn colours_are_for_terminals_only() {
    let net = Hosts::start("");
    assert!(!net.router.run("show interfaces").contains('\x1b'));
}
