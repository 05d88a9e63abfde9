//! A program on a real pseudo-terminal, and the screen that a person would see.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A terminal of 120 columns and so many rows that a test's output never scrolls away.
pub struct Terminal {
    child: Child,
    keyboard: File,
    shared: Arc<Shared>,
    reader: Option<JoinHandle<()>>,
}

struct Shared {
    screen: Mutex<Screen>,
    changed: Condvar,
}

struct Screen {
    parser: vt100::Parser,
    /// When the program last wrote something.
    touched: Instant,
    /// Whether the program closed the terminal.
    closed: bool,
}

/// What stands on the screen.
#[derive(Clone, Debug)]
pub struct View {
    /// The rows down to the one with the cursor, without trailing blanks.
    pub rows: Vec<String>,
    /// The cursor's column.
    pub column: usize,
    /// How long nothing has changed.
    pub quiet: Duration,
    /// Whether the program has ended.
    pub closed: bool,
}

impl View {
    /// The row with the cursor.
    pub fn line(&self) -> &str {
        self.rows.last().map_or("", String::as_str)
    }
}

impl Terminal {
    /// Columns of the terminal.
    pub const COLUMNS: u16 = 120;

    /// Runs a program with this many rows; `setsid` makes the terminal its controlling one.
    pub fn run(program: &mut Command, rows: u16) -> Terminal {
        let (ours, theirs) = open_pty(rows);
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program.get_program()).args(program.get_args());
        command.envs(program.get_envs().filter_map(|(key, value)| Some((key, value?))));
        command.env("TERM", "xterm-256color");
        let duplicate = || Stdio::from(theirs.try_clone().expect("a descriptor"));
        let child = command.stdin(duplicate()).stdout(duplicate()).stderr(duplicate()).spawn().expect("setsid");
        drop(command);
        drop(theirs);
        let keyboard = File::from(ours);
        let mut output = keyboard.try_clone().expect("a descriptor");
        let cells = |count| NonZero::new(count).expect("a terminal has rows");
        let parser = vt100::Parser::new(cells(rows), cells(Terminal::COLUMNS), 0);
        let screen = Mutex::new(Screen { parser, touched: Instant::now(), closed: false });
        let shared = Arc::new(Shared { screen, changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            loop {
                // EIO is how the kernel says that nobody holds the other end any more.
                let length = output.read(&mut bytes).unwrap_or(0);
                let mut screen = theirs.screen.lock().expect("the screen");
                screen.parser.process(&bytes[..length]);
                screen.touched = Instant::now();
                screen.closed = length == 0;
                theirs.changed.notify_all();
                if length == 0 {
                    return;
                }
            }
        });
        Terminal { child, keyboard, shared, reader: Some(reader) }
    }

    /// Types. `<Tab>`, `<Enter>`, `<Up>`, `<Down>`, `<Ctrl-C>`, `<Ctrl-D>`, `<Ctrl-R>` and `<?>` are keys.
    pub fn keys(&mut self, keys: &str) {
        const NAMES: [(&str, &str); 8] = [
            ("<Tab>", "\t"),
            ("<Enter>", "\r"),
            ("<Up>", "\x1b[A"),
            ("<Down>", "\x1b[B"),
            ("<Ctrl-C>", "\x03"),
            ("<Ctrl-D>", "\x04"),
            ("<Ctrl-R>", "\x12"),
            ("<?>", "?"),
        ];
        let bytes = NAMES.iter().fold(keys.to_owned(), |keys, (name, bytes)| keys.replace(name, bytes));
        self.keyboard.write_all(bytes.as_bytes()).expect("type");
    }

    /// What stands there now.
    pub fn view(&self) -> View {
        view(&self.shared.screen.lock().expect("the screen"))
    }

    /// Waits until what stands there is as wanted, at most this long; returns what stands there then.
    pub fn wait(&self, time: Duration, mut wanted: impl FnMut(&View) -> bool) -> Result<View, View> {
        let end = Instant::now() + time;
        let mut screen = self.shared.screen.lock().expect("the screen");
        loop {
            let now = view(&screen);
            if wanted(&now) {
                return Ok(now);
            }
            if Instant::now() >= end {
                return Err(now);
            }
            // A quiet time passes without a change, so look again soon even then.
            let nap = Duration::from_millis(50);
            screen = self.shared.changed.wait_timeout(screen, nap).expect("the screen").0;
        }
    }

    /// Waits for the program's end and returns its exit code.
    pub fn end(&mut self) -> i32 {
        let status = crate::eventually("the program on the terminal ends", || self.child.try_wait().expect("wait"));
        status.code().unwrap_or(-1)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.reader.take().map(JoinHandle::join);
    }
}

fn view(screen: &Screen) -> View {
    let (row, column) = screen.parser.screen().cursor_position();
    let rows = screen.parser.screen().rows(0, Terminal::COLUMNS).take(usize::from(row) + 1);
    let rows = rows.map(|row| row.trim_end().to_owned()).collect();
    View { rows, column: usize::from(column), quiet: screen.touched.elapsed(), closed: screen.closed }
}

fn open_pty(rows: u16) -> (OwnedFd, OwnedFd) {
    let size = libc::winsize { ws_row: rows, ws_col: Terminal::COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
    let (mut ours, mut theirs) = (-1, -1);
    let nothing = std::ptr::null_mut();
    // SAFETY: two live integers to fill, no name, no settings, a live size.
    let opened = unsafe { libc::openpty(&raw mut ours, &raw mut theirs, nothing, std::ptr::null(), &raw const size) };
    assert_eq!(opened, 0, "openpty: {}", std::io::Error::last_os_error());
    // SAFETY: two descriptors that were just opened and that nobody else owns.
    let pair = unsafe { (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) };
    // SAFETY: a live descriptor and a number. A program that is started later must not hold our end open.
    unsafe { libc::fcntl(ours, libc::F_SETFD, libc::FD_CLOEXEC) };
    pair
}

#[cfg(test)]
mod tests {
    use super::Terminal;
    use crate::PATIENCE;
    use std::process::Command;

    #[test]
    fn a_program_is_typed_to_and_read() {
        let script = "stty size; printf 'name? '; read name; printf '\\033[31mhello \\033[1m%s\\033[0m' $name; exit 3";
        let mut terminal = Terminal::run(Command::new("sh").args(["-c", script]), 40);
        let asked = terminal.wait(PATIENCE, |view| view.line() == "name?").expect("a question");
        assert_eq!((asked.rows[0].as_str(), asked.column), ("40 120", 6));
        terminal.keys("nobody<Enter>");
        let answered = terminal.wait(PATIENCE, |view| view.closed).expect("an end");
        assert_eq!(answered.rows[1..], ["name? nobody", "hello nobody"]);
        assert_eq!(terminal.end(), 3);
    }
}
