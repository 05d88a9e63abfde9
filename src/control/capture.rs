//! Packets written to a pcapng file (draft-ietf-opsawg-pcapng), with nanoseconds, interfaces and directions.

use super::Router;
use super::events::Severity;
use millrace_engine::builtin::DEVICE_INPUT_ARC;
use millrace_engine::clock;
use millrace_graph_nodes::capture::{Captured, Direction, Filter as ByteFilter, WHOLE, rx, tx};
use millrace_graph_nodes::filter::{Filter, Layer};
use millrace_graph_nodes::interface::output;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What an operator asks for, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether it still runs.
    pub running: bool,
    /// The file.
    pub file: String,
    /// The interface that it is limited to.
    pub interface: Option<String>,
    /// The expression that it is limited to.
    pub filter: Option<String>,
    /// Packets after which it stops; 0 for no limit.
    pub limit: u64,
    /// Packets written.
    pub packets: u64,
    /// Packets that came too fast.
    pub missed: u64,
}

/// The capture that runs, and what is known of it or the last one.
#[derive(Debug, Default)]
pub struct Capture {
    status: Status,
    writer: Option<Pcapng<BufWriter<File>>>,
    missed_before: u64,
}

/// Why a capture can't start.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// One runs already.
    #[error("a capture to {0} runs already; `capture stop` ends it")]
    Running(String),
    /// No such interface.
    #[error("no interface \"{0}\"")]
    NoInterface(String),
    /// The expression can't be understood.
    #[error("filter \"{0}\": {1}")]
    Filter(String, String),
    /// The file can't be written.
    #[error("can't write {0}: {1}")]
    File(String, io::Error),
}

impl Router {
    /// Starts a capture as `wanted` says.
    ///
    /// # Errors
    /// See [`CaptureError`].
    pub fn start_capture(&mut self, wanted: Status) -> Result<Status, CaptureError> {
        if self.capture.writer.is_some() {
            return Err(CaptureError::Running(self.capture.status.file.clone()));
        }
        let only = wanted.interface.as_deref().map(|name| {
            self.interfaces
                .named(name)
                .map(|i| (i.index, i.parent.as_ref().map(|(_, vlan)| vlan.outer)))
                .ok_or(CaptureError::NoInterface(name.to_owned()))
        });
        let only = only.transpose()?;
        let filter = wanted.filter.as_deref().map(|text| {
            text.parse::<Filter>().map_err(|error| CaptureError::Filter(text.to_owned(), error.to_string()))
        });
        let vlan = only.and_then(|(_, vlan)| vlan);
        let filter = byte_filter(filter.transpose()?, vlan);
        let failed = |error| CaptureError::File(wanted.file.clone(), error);
        let file = File::create(&wanted.file).map_err(failed)?;
        let writer = Pcapng::start(BufWriter::new(file)).map_err(failed)?;
        while self.captures.pop().is_some() {}
        self.captures.set_filter(filter, WHOLE);
        self.capture.missed_before = self.missed();
        self.capture.writer = Some(writer);
        self.capture.status = Status { running: true, packets: 0, missed: 0, ..wanted };
        self.switch_capture(only.map(|(index, _)| index), true);
        Ok(self.capture_status())
    }

    /// Ends the capture that runs; `None` when none does.
    pub fn stop_capture(&mut self) -> Option<Status> {
        self.capture.writer.as_ref()?;
        self.collect_captured();
        self.end_capture();
        Some(self.capture_status())
    }

    /// The capture that runs, or the last one.
    pub fn capture_status(&self) -> Status {
        let mut status = self.capture.status.clone();
        if status.running {
            status.missed = self.missed().saturating_sub(self.capture.missed_before);
        }
        status
    }

    /// Writes what was captured meanwhile.
    pub(super) fn collect_captured(&mut self) {
        while let Some(captured) = self.captures.pop() {
            let Capture { writer: Some(writer), status, .. } = &mut self.capture else { continue };
            let name = self.interfaces.name(captured.interface);
            if let Err(error) = writer.packet(&captured, &name) {
                let (file, text) = (status.file.clone(), format!("capture ends: {error}"));
                self.end_capture();
                self.tell(Severity::Error, file, text);
                continue;
            }
            status.packets += 1;
            if status.packets == status.limit {
                self.end_capture();
            }
        }
    }

    /// Lets others see what was written so far.
    pub(super) fn flush_capture(&mut self) {
        if let Some(writer) = &mut self.capture.writer {
            // An error comes again with the next packet.
            let _ = writer.out.flush();
        }
    }

    fn end_capture(&mut self) {
        let missed = self.capture_status().missed;
        self.switch_capture(None, false);
        if let Some(mut writer) = self.capture.writer.take()
            && let Err(error) = writer.out.flush()
        {
            self.tell(Severity::Error, self.capture.status.file.clone(), format!("capture is incomplete: {error}"));
        }
        self.capture.status.running = false;
        self.capture.status.missed = missed;
    }

    /// Switches the copying of frames: of one interface, with its sub-interfaces, or of all.
    fn switch_capture(&self, only: Option<u32>, on: bool) {
        let Some(index) = only else {
            return self.interfaces.iter().for_each(|i| self.switch(i.index, i.index, on));
        };
        let parent = self.interfaces.get(index).and_then(|i| i.parent.as_ref());
        // What comes in on a sub-interface is copied with its parent's frames, and chosen by its VLAN.
        self.switch(parent.map_or(index, |(parent, _)| *parent), index, on);
        for child in self.interfaces.children(index) {
            self.engine.switch_feature(output::ARC.name, tx::NAME, child, on);
        }
    }

    fn switch(&self, received: u32, sent: u32, on: bool) {
        self.engine.switch_feature(DEVICE_INPUT_ARC.name, rx::NAME, received, on);
        self.engine.switch_feature(output::ARC.name, tx::NAME, sent, on);
    }

    /// A capture of all interfaces takes in new ones.
    pub(super) fn capture_new_interface(&mut self, index: u32) {
        if self.capture.status.running && self.capture.status.interface.is_none() {
            self.switch(index, index, true);
        }
    }

    /// The number of an interface that goes may come to mean another.
    pub(super) fn capture_gone_interface(&mut self, index: u32) {
        self.switch(index, index, false);
        self.collect_captured();
        if let Some(writer) = &mut self.capture.writer {
            writer.numbers.remove(&index);
        }
    }

    fn missed(&self) -> u64 {
        let of_captures = self.engine.errors().into_iter().filter(|row| [rx::NAME, tx::NAME].contains(&row.node));
        of_captures.filter(|row| row.reason.contains("full")).map(|row| row.count).sum()
    }
}

/// What of a frame is looked at: the operator's expression, and the VLAN of a sub-interface.
fn byte_filter(filter: Option<Filter>, vlan: Option<u16>) -> Option<ByteFilter> {
    if filter.is_none() && vlan.is_none() {
        return None;
    }
    let in_vlan = vlan.and_then(|vlan| format!("vlan {vlan}").parse::<Filter>().ok());
    Some(Arc::new(move |frame| {
        let passes = |f: &Option<Filter>| f.as_ref().is_none_or(|f| f.matches(Layer::Ethernet, frame));
        passes(&in_vlan) && passes(&filter)
    }))
}

/// A pcapng file that is being written.
#[derive(Debug)]
struct Pcapng<W: Write> {
    out: W,
    /// The numbers of interfaces in the file.
    numbers: BTreeMap<u32, u32>,
    next: u32,
    /// Nanoseconds from 1970 to the zero of captured times.
    epoch: u64,
}

/// The link type of Ethernet.
const LINKTYPE_ETHERNET: u16 = 1;

impl<W: Write> Pcapng<W> {
    /// Writes the section header.
    fn start(mut out: W) -> io::Result<Pcapng<W>> {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        let epoch = wall.saturating_sub(clock::now());
        let mut body = Vec::new();
        body.extend(0x1a2b_3c4d_u32.to_le_bytes());
        body.extend([1, 0, 0, 0]);
        body.extend(u64::MAX.to_le_bytes());
        option(&mut body, 4, concat!("millrace ", env!("CARGO_PKG_VERSION")).as_bytes());
        block(&mut out, 0x0a0d_0d0a, body)?;
        Ok(Pcapng { out, numbers: BTreeMap::new(), next: 0, epoch })
    }

    /// Writes a packet, and before it its interface when it is the first of it.
    fn packet(&mut self, captured: &Captured, name: &str) -> io::Result<()> {
        let number = match self.numbers.get(&captured.interface) {
            Some(number) => *number,
            None => self.interface(captured.interface, name)?,
        };
        let time = self.epoch + captured.time;
        let mut body = Vec::with_capacity(captured.bytes.len() + 48);
        body.extend(number.to_le_bytes());
        body.extend(((time >> 32) as u32).to_le_bytes());
        body.extend((time as u32).to_le_bytes());
        body.extend((captured.bytes.len() as u32).to_le_bytes());
        body.extend((captured.length as u32).to_le_bytes());
        body.extend(&captured.bytes);
        pad(&mut body);
        let direction: u32 = match captured.direction {
            Direction::Rx => 1,
            Direction::Tx => 2,
        };
        option(&mut body, 2, &direction.to_le_bytes());
        block(&mut self.out, 6, body)
    }

    fn interface(&mut self, index: u32, name: &str) -> io::Result<u32> {
        let number = self.next;
        let mut body = Vec::new();
        body.extend(LINKTYPE_ETHERNET.to_le_bytes());
        body.extend([0, 0]);
        body.extend((WHOLE as u32).to_le_bytes());
        option(&mut body, 2, name.as_bytes());
        // Times are in units of 10^-9 seconds.
        option(&mut body, 9, &[9]);
        block(&mut self.out, 1, body)?;
        self.next += 1;
        self.numbers.insert(index, number);
        Ok(number)
    }
}

fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    body.extend(value);
    pad(body);
}

/// Ends the options and writes the block between its two lengths.
fn block(out: &mut impl Write, kind: u32, mut body: Vec<u8>) -> io::Result<()> {
    option(&mut body, 0, &[]);
    let len = (body.len() as u32 + 12).to_le_bytes();
    out.write_all(&kind.to_le_bytes())?;
    out.write_all(&len)?;
    out.write_all(&body)?;
    out.write_all(&len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_whole_and_interfaces_come_once() {
        let mut file = Pcapng::start(Vec::new()).unwrap();
        for (interface, direction) in [(7, Direction::Rx), (9, Direction::Tx), (7, Direction::Tx)] {
            let captured = Captured { time: 5, interface, direction, length: 70, bytes: vec![0xaa; 61] };
            file.packet(&captured, "wan").unwrap();
        }
        let word = |at: usize| u32::from_le_bytes(file.out[at..at + 4].try_into().unwrap());
        let (mut at, mut blocks) = (0, Vec::new());
        while at < file.out.len() {
            let len = word(at + 4) as usize;
            assert_eq!((len % 4, word(at + len - 4) as usize), (0, len));
            // For packets: interface, captured and original length.
            blocks.push((word(at), if word(at) == 6 { [word(at + 8), word(at + 20), word(at + 24)] } else { [0; 3] }));
            at += len;
        }
        let kinds: Vec<_> = blocks.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [0x0a0d_0d0a, 1, 6, 1, 6, 6]);
        assert_eq!([blocks[2].1, blocks[4].1, blocks[5].1], [[0, 61, 70], [1, 61, 70], [0, 61, 70]]);
    }
}
