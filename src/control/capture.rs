//! A capture: packets of one interface or all, written to a pcapng file.

use super::Router;
use super::events::Severity;
use super::pcapng::Pcapng;
use millrace_engine::Feature;
use millrace_graph_nodes::capture::{Filter as ByteFilter, NODES, RX, TUNNEL, TX, WHOLE};
use millrace_graph_nodes::filter::{Filter, Layer};
use millrace_wire::Tags;
use std::fs::File;
use std::io::{self, BufWriter};
use std::sync::Arc;

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
            self.interfaces.named(name).map(|i| (i.index, i.tags())).ok_or(CaptureError::NoInterface(name.to_owned()))
        });
        let only = only.transpose()?;
        let filter = wanted.filter.as_deref().map(|text| {
            text.parse::<Filter>().map_err(|error| CaptureError::Filter(text.to_owned(), error.to_string()))
        });
        let tags = only.and_then(|(_, tags)| tags);
        let filter = byte_filter(filter.transpose()?, tags);
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
            let link = self.interfaces.link_type(captured.interface);
            if let Err(error) = writer.packet(&captured, &name, link) {
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
            let _ = writer.flush();
        }
    }

    fn end_capture(&mut self) {
        let missed = self.capture_status().missed;
        self.switch_capture(None, false);
        if let Some(mut writer) = self.capture.writer.take()
            && let Err(error) = writer.flush()
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
            self.switch_one(TX, child, on);
        }
    }

    fn switch(&self, received: u32, sent: u32, on: bool) {
        self.switch_one(RX, received, on);
        self.switch_one(TUNNEL, received, on);
        self.switch_one(TX, sent, on);
    }

    fn switch_one(&self, feature: Feature, interface: u32, on: bool) {
        self.engine.switch_feature(feature.arc, feature.node, interface, on);
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
        // While its name is known.
        self.collect_captured();
        self.pump_mirrors();
    }

    fn missed(&self) -> u64 {
        let of_captures = self.engine.errors().into_iter().filter(|row| NODES.contains(&row.node));
        of_captures.filter(|row| row.reason.contains("full")).map(|row| row.count).sum()
    }
}

/// What of a frame is looked at: the operator's expression, and the tags of a sub-interface.
fn byte_filter(filter: Option<Filter>, tags: Option<Tags>) -> Option<ByteFilter> {
    if filter.is_none() && tags.is_none() {
        return None;
    }
    Some(Arc::new(move |frame| {
        tags.is_none_or(|tags| tags.are_in(frame)) && filter.as_ref().is_none_or(|f| f.matches(Layer::Either, frame))
    }))
}
