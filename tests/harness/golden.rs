//! Golden files: what a command printed when a person last looked and found it right. `BLESS=1` writes them anew.
//!
//! A session is a text file: a configuration, a line `---`, and then what stands on the screen:
//!
//! ```text
//! millrace> show version          a command, and below it what it printed
//! millrace> sh int<Tab>           keys: the screen from the prompt on follows, with `...>` for the prompt
//! ```
//! Whatever differs from run to run is masked on both sides: numbers, times and hardware addresses (see [`mask`]).

use crate::{PATIENCE, Router, Terminal, program};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const PROMPT: &str = "millrace>";
const ROWS: u16 = 2000;

/// A file below `tests/`.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/").join(name)
}

fn blessing() -> bool {
    std::env::var_os("BLESS").is_some()
}

/// Compares a text with a golden file.
#[track_caller]
pub fn check(path: &Path, actual: &str) {
    if blessing() {
        std::fs::write(path, actual).expect("write the golden file");
        return;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    let differs = || differences(&expected, actual);
    assert!(expected == actual, "{} differs (BLESS=1 writes it anew):\n{}", path.display(), differs());
}

/// The lines that differ, with their numbers.
fn differences(expected: &str, actual: &str) -> String {
    let (expected, actual): (Vec<_>, Vec<_>) = (expected.lines().collect(), actual.lines().collect());
    let rows = expected.len().max(actual.len());
    let line = |of: &[&str], row: usize| of.get(row).map_or("(nothing)".to_owned(), |line| format!("{line:?}"));
    let differing = (0..rows).filter(|row| expected.get(*row) != actual.get(*row)).take(20);
    let shown =
        differing.map(|row| format!("{:4} - {}\n     + {}\n", row + 1, line(&expected, row), line(&actual, row)));
    shown.collect()
}

/// A session's configuration.
pub fn configuration(path: &Path) -> String {
    read(path).0
}

/// Plays a session against a router that runs the session's configuration.
#[track_caller]
pub fn play(path: &Path, router: &Router) {
    let (config, steps) = read(path);
    let mut shell = Command::new(program("millctl"));
    shell.arg("-s").arg(router.socket()).env("XDG_STATE_HOME", &**router.files()).env("NO_COLOR", "1");
    let mut terminal = Terminal::run(&mut shell, ROWS);
    let mut actual = format!("{config}---\n");
    for (typed, expected) in &steps {
        actual += &format!("{PROMPT} {typed}\n{}", step(&mut terminal, typed, expected));
    }
    check(path, &actual);
}

/// A session's configuration and its steps: what is typed, and what is on the screen then.
fn read(path: &Path) -> (String, Vec<(String, String)>) {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (config, session) = text.split_once("---\n").expect("a line of --- after the configuration");
    let mut steps: Vec<(String, String)> = Vec::new();
    for line in session.lines() {
        match (line.strip_prefix(PROMPT), steps.last_mut()) {
            (Some(typed), _) => steps.push((typed.trim().to_owned(), String::new())),
            (None, Some((_, expected))) => *expected += &format!("{line}\n"),
            (None, None) => panic!("{}: a session begins with {PROMPT}", path.display()),
        }
    }
    (config.to_owned(), steps)
}

/// Types one step and returns what the screen shows for it.
#[track_caller]
fn step(terminal: &mut Terminal, typed: &str, expected: &str) -> String {
    let begin = prompt(terminal, 0);
    if !typed.contains('<') {
        terminal.keys(&format!("{typed}<Enter>"));
        let end = prompt(terminal, begin + 1);
        return shown(&terminal.view().rows[begin + 1..end.max(begin + 1)]);
    }
    terminal.keys(typed);
    let typed = Instant::now();
    let quiet = Duration::from_millis(400);
    let look = |rows: &[String]| shown(&rows[begin.min(rows.len())..]);
    let view = if blessing() {
        terminal.wait(PATIENCE, |view| view.quiet > quiet && typed.elapsed() > quiet)
    } else {
        terminal.wait(Duration::from_secs(4), |view| look(&view.rows) == expected)
    };
    let view = view.unwrap_or_else(|last| last);
    if !view.closed && view.line() != PROMPT {
        terminal.keys("<Ctrl-C>");
        prompt(terminal, view.rows.len());
    }
    look(&view.rows)
}

/// Waits for an empty prompt in or below a row, or for the end of the program; returns its row.
#[track_caller]
fn prompt(terminal: &Terminal, row: usize) -> usize {
    let there = terminal.wait(PATIENCE, |view| (view.line() == PROMPT && view.rows.len() > row) || view.closed);
    match there {
        Ok(view) => view.rows.len() - 1,
        Err(view) => panic!("no prompt comes:\n{}", view.rows[row.min(view.rows.len())..].join("\n")),
    }
}

fn shown(rows: &[String]) -> String {
    let line = |row: &String| match row.strip_prefix(PROMPT) {
        Some(rest) => format!("...>{}\n", mask(rest)),
        None => format!("{}\n", mask(row)),
    };
    rows.iter().map(line).collect()
}

/// Puts `#` for numbers, `<mac>` and `<time>` for what they say, and evens out columns that such values widen. A line is
/// indented as it is, unless a number does it.
pub fn mask(line: &str) -> String {
    let text = line.trim_start();
    let number = text.split(' ').next().and_then(masked_core).is_some();
    let mut masked = " ".repeat(if number { 0 } else { line.len() - text.len() });
    for word in text.trim_end().split(' ') {
        let word = mask_word(word);
        // A run of blanks, or of the dashes under a heading, is as long as the widest value makes it.
        let blank = word.is_empty() && masked.ends_with("  ");
        if !blank {
            masked += &word;
            masked.push(' ');
        }
    }
    masked.trim_end().to_owned()
}

fn mask_word(word: &str) -> String {
    let rule = |c: char| matches!(c, '-' | '─' | '=' | '═' | '┄');
    if word.len() > 3 && word.chars().all(rule) {
        return word.chars().take(3).collect();
    }
    let core = word.trim_matches(|c: char| matches!(c, ',' | ';' | '(' | ')' | '"' | '\'' | '[' | ']'));
    match masked_core(core) {
        Some(mask) if !core.is_empty() => word.replacen(core, &mask, 1),
        _ => word.to_owned(),
    }
}

fn masked_core(word: &str) -> Option<String> {
    let hex = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    if word.split(':').count() == 6 && word.split(':').all(hex) {
        return Some("<mac>".to_owned());
    }
    let digits = |part: &str| part.bytes().filter(u8::is_ascii_digit).count();
    if word.contains('T') && word.ends_with('Z') && digits(word) >= 14 {
        return Some("<time>".to_owned());
    }
    let number = word.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ','))).unwrap_or(word.len());
    let (number, unit) = word.split_at(number);
    const UNITS: [&str; 19] =
        ["", "%", "ns", "us", "µs", "ms", "s", "m", "h", "d", "k", "K", "M", "G", "KiB", "MiB", "GiB", "Mpps", "pps"];
    let single = number.matches('.').count() <= 1 && number.bytes().any(|b| b.is_ascii_digit());
    (single && UNITS.contains(&unit)).then(|| format!("#{unit}"))
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn masks_what_changes_and_nothing_else() {
        for (line, masked) in [
            ("lan   up  1500      02:fe:00:00:00:01   12,345", "lan  up  #  <mac>  #"),
            ("--------  ----", "---  ---"),
            ("192.168.1.0/24  via 203.0.113.1  age 12s", "192.168.1.0/24  via 203.0.113.1  age #s"),
            ("ip4-lookup  0  7.50  2026-11-21T20:56:01.123Z", "ip4-lookup  #  #  <time>"),
            ("lan.100 (1 packet)", "lan.100 (# packet)"),
            ("    mtu: 1400", "    mtu: #"),
            ("  12  arp-input", "#  arp-input"),
        ] {
            assert_eq!(mask(line), masked);
        }
    }
}
