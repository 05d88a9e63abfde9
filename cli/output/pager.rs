//! Pages long output on a terminal: `$PAGER`, else `less -FRX`, else a plain pager of our own. What fits on the
//! screen is printed as it is, without a pager.
use std::io::{self, BufRead, Write};
use std::process::{Child, Command, Stdio};

/// A writer that begins to page when the text outgrows the screen. Call [`Pager::finish`] at the end.
pub struct Pager {
    state: State,
}

enum State {
    /// Still fits on the screen, whose height is the number.
    Fits(Vec<u8>, usize),
    /// Not a terminal.
    Plain(io::StdoutLock<'static>),
    /// A pager runs and takes its text from us.
    Child(Child),
    /// No pager could be started: lines left until the next stop, and the screen's height.
    Own(usize, usize),
}

impl Pager {
    /// A pager for standard output; pages only on a terminal.
    pub fn new(terminal: bool) -> Pager {
        let height = terminal.then(|| crossterm::terminal::size().map_or(24, |(_, rows)| usize::from(rows.max(3))));
        let state = match height {
            // The prompt needs a line too.
            Some(height) => State::Fits(Vec::new(), height - 1),
            None => State::Plain(io::stdout().lock()),
        };
        Pager { state }
    }

    /// Prints what is left and waits until the operator has left the pager.
    pub fn finish(mut self) -> io::Result<()> {
        match &mut self.state {
            State::Fits(text, _) => {
                let mut out = io::stdout().lock();
                out.write_all(text)?;
                out.flush()
            }
            State::Plain(out) => out.flush(),
            // Dropping it waits for the operator.
            State::Child(_) => Ok(()),
            State::Own(..) => io::stdout().flush(),
        }
    }

    fn start(height: usize) -> State {
        let command = std::env::var("PAGER").ok().filter(|command| !command.trim().is_empty());
        let command = command.unwrap_or_else(|| "less -FRX".to_owned());
        let mut words = command.split_whitespace();
        let child = words.next().map(|program| Command::new(program).args(words).stdin(Stdio::piped()).spawn());
        match child {
            Some(Ok(child)) => State::Child(child),
            _ => State::Own(height, height),
        }
    }
}

impl Drop for Pager {
    fn drop(&mut self) {
        if let State::Child(child) = &mut self.state {
            drop(child.stdin.take());
            // A pager that can't be waited for has ended already.
            let _ = child.wait();
        }
    }
}

impl Write for Pager {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let State::Fits(text, height) = &mut self.state {
            text.extend_from_slice(bytes);
            if text.iter().filter(|byte| **byte == b'\n').count() > *height {
                let text = std::mem::take(text);
                self.state = Pager::start(*height);
                self.write_all(&text)?;
            }
            return Ok(bytes.len());
        }
        match &mut self.state {
            State::Fits(..) => {}
            State::Plain(out) => return out.write(bytes),
            State::Child(child) => {
                let pipe = child.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
                return pipe.write(bytes);
            }
            State::Own(left, height) => {
                for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                    if *left == 0 {
                        *left = stop(*height)?;
                    }
                    io::stdout().write_all(line)?;
                    *left -= usize::from(line.ends_with(b"\n"));
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits for the operator; says how many more lines to print.
fn stop(height: usize) -> io::Result<usize> {
    print!("-- more: Enter goes on, q and Enter leaves -- ");
    io::stdout().flush()?;
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer)?;
    if read == 0 || answer.trim_start().starts_with('q') { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(height) }
}
