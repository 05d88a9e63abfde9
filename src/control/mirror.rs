//! Mirrors as control has them: which interfaces the packet path taps for whom, and the files that copies are written to.

use super::Router;
use super::events::Severity;
use super::pcapng::Pcapng;
use millrace_config::{Mirror as Settings, MirrorDirection, MirrorTarget, Name};
use millrace_engine::Waker;
use millrace_graph_nodes::capture::{Captures, WHOLE};
use millrace_graph_nodes::mirror::{self, Mirror, Tagged, Tap, Target, Totals, Way};
use millrace_wire::Tags;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long after a file could not be opened it is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// All of it.
#[derive(Debug)]
pub struct Mirrors {
    shared: mirror::Mirrors,
    control: Waker,
    /// What the operator wants.
    configured: BTreeMap<Name, Settings>,
    running: BTreeMap<Name, Running>,
    /// Who taps which interface, as the packet path knows it.
    taps: BTreeMap<(Way, u32), Vec<Tap>>,
}

/// A mirror that is configured.
#[derive(Debug)]
pub struct Running {
    settings: Settings,
    /// What the packet path has of it; none while it can't run.
    mirror: Option<Arc<Mirror>>,
    file: Option<Written>,
    /// Why it doesn't run.
    problem: Option<String>,
    /// When its file was opened, or could not be.
    tried: Instant,
    /// What mirrors in its place have done before: its target may go and come.
    before: Totals,
    /// The operator has been told that it is done.
    told: bool,
}

/// A file that copies are written to.
#[derive(Debug)]
struct Written {
    captures: Captures,
    writer: Pcapng<BufWriter<File>>,
}

/// What a mirror does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It copies.
    Active,
    /// Its target is down.
    Down,
    /// It has made as many copies as it was to.
    Done,
    /// It can't run.
    Failed,
}

impl State {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Active => "active",
            State::Down => "target down",
            State::Done => "done",
            State::Failed => "failed",
        }
    }
}

impl Running {
    fn new(settings: &Settings) -> Running {
        let settings = settings.clone();
        let (tried, before) = (Instant::now(), Totals::default());
        Running { settings, mirror: None, file: None, problem: None, tried, before, told: false }
    }

    /// What the operator wants.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Why it doesn't run, if it doesn't.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// What it has done.
    pub fn totals(&self) -> Totals {
        self.mirror.as_ref().map_or(self.before, |mirror| mirror.totals() + self.before)
    }

    /// What it does at the moment.
    pub fn state(&self) -> State {
        match &self.mirror {
            _ if self.is_done() => State::Done,
            None => State::Failed,
            Some(mirror) if mirror.is_up() => State::Active,
            Some(_) => State::Down,
        }
    }

    fn is_done(&self) -> bool {
        let rest_is_done = || self.settings.limit.is_some_and(|limit| self.before.copied >= limit);
        self.mirror.as_ref().map_or_else(rest_is_done, |mirror| mirror.is_done())
    }

    /// Whether a mirror with these settings may go on in this one's place.
    fn goes_on_as(&self, settings: &Settings) -> bool {
        let of = |settings: &Settings| (settings.to.clone(), settings.limit, settings.snap_length);
        of(&self.settings) == of(settings)
    }

    fn make(&self, workers: usize, target: Target) -> Arc<Mirror> {
        let snap_length = self.settings.snap_length.map_or(WHOLE, |length| length as usize);
        let left = self.settings.limit.map(|limit| limit.saturating_sub(self.before.copied));
        Arc::new(Mirror::new(workers, target, snap_length, left))
    }

    /// Has the packet path copy no more for it, and remembers what was copied.
    fn stop(&mut self, problem: Option<String>) {
        self.before = self.totals();
        self.mirror = None;
        self.problem = problem;
    }

    /// Lets it copy to an interface, if there is one.
    fn lead_to_interface(&mut self, workers: usize, name: &Name, target: Option<(u32, Option<Tags>)>, up: bool) {
        let now = self.mirror.as_ref().map(|mirror| mirror.target().clone());
        let Some((index, tags)) = target else {
            return self.stop(Some(format!("no interface \"{name}\"")));
        };
        if !matches!(now, Some(Target::Interface(now, of)) if (now, of) == (index, tags)) {
            self.stop(None);
            self.mirror = Some(self.make(workers, Target::Interface(index, tags)));
        }
        if let Some(mirror) = &self.mirror {
            mirror.set_up(up);
        }
    }

    /// Lets it copy to its file, if that can be opened.
    fn lead_to_file(&mut self, workers: usize, path: &Path, control: &Waker) -> Result<(), io::Error> {
        if self.file.is_some() || self.problem.is_some() {
            return Ok(());
        }
        self.tried = Instant::now();
        match File::create(path).and_then(|file| Pcapng::start(BufWriter::new(file))) {
            Ok(writer) => {
                let captures = Captures::new(control.clone());
                self.mirror = Some(self.make(workers, Target::File(captures.clone())));
                self.file = Some(Written { captures, writer });
                Ok(())
            }
            Err(error) => {
                self.problem = Some(error.to_string());
                Err(error)
            }
        }
    }
}

impl Mirrors {
    /// None yet.
    pub fn new(shared: mirror::Mirrors, control: Waker) -> Mirrors {
        let (configured, running, taps) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Mirrors { shared, control, configured, running, taps }
    }

    /// All, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Running)> {
        self.running.iter()
    }
}

impl Router {
    /// Takes over the settings of all mirrors.
    pub(super) fn set_mirrors(&mut self, mirrors: &BTreeMap<Name, Settings>) {
        self.mirrors.configured.clone_from(mirrors);
        // What one had that goes may go right after it.
        self.follow_mirrors();
    }

    /// Lets the packet path have what the configuration and the interfaces say now.
    pub(super) fn follow_mirrors(&mut self) {
        self.pump_files();
        let Router { mirrors, interfaces, .. } = self;
        let Mirrors { configured, running, shared, control, .. } = mirrors;
        running.retain(|name, running| configured.get(name).is_some_and(|settings| running.goes_on_as(settings)));
        let mut problems = Vec::new();
        for (name, settings) in configured.iter() {
            let running = running.entry(name.clone()).or_insert_with(|| Running::new(settings));
            running.settings.clone_from(settings);
            match &settings.to {
                MirrorTarget::Interface(to) => {
                    let target = interfaces.named(to);
                    let up = target.is_some_and(|target| interfaces.is_up(target.index));
                    let target = target.map(|interface| (interface.index, interface.tags()));
                    running.lead_to_interface(shared.workers(), to, target, up);
                }
                MirrorTarget::File(path) => {
                    if let Err(error) = running.lead_to_file(shared.workers(), path, control) {
                        problems.push((name.to_string(), format!("can't write {}: {error}", path.display())));
                    }
                }
            }
        }
        for (name, text) in problems {
            self.tell(Severity::Error, format!("mirror {name}"), text);
        }
        let wanted = self.wanted_taps();
        let before = std::mem::replace(&mut self.mirrors.taps, wanted);
        let after = &self.mirrors.taps;
        for (at, taps) in before.keys().chain(after.keys()).map(|at| (*at, after.get(at))) {
            if taps == before.get(&at) {
                continue;
            }
            let (way, index) = at;
            let feature = way.feature();
            self.mirrors.shared.set(way, index, taps.cloned().unwrap_or_default());
            self.engine.switch_feature(feature.arc, feature.node, index, taps.is_some());
        }
    }

    /// Who taps which interface.
    fn wanted_taps(&self) -> BTreeMap<(Way, u32), Vec<Tap>> {
        let mut all = BTreeMap::<_, Vec<Tap>>::new();
        for running in self.mirrors.running.values().filter(|running| !running.is_done()) {
            let Some(mirror) = &running.mirror else { continue };
            let direction = running.settings.direction;
            let sources = running.settings.from.iter().filter_map(|name| self.interfaces.named(name));
            for source in sources {
                let mut add = |way, index, only: Option<Tagged>| {
                    let taps = all.entry((way, index)).or_default();
                    let mine = |tap: &Tap| Arc::ptr_eq(&tap.mirror, mirror);
                    // A sub-interface may be named beside its parent: no frame is copied twice.
                    if only.is_none() {
                        taps.retain(|tap| !mine(tap));
                    }
                    if !taps.iter().any(|tap| mine(tap) && (tap.only.is_none() || tap.only == only)) {
                        taps.push(Tap { mirror: mirror.clone(), only });
                    }
                };
                if direction != MirrorDirection::Tx {
                    // What comes in on a sub-interface is copied with its parent's frames, and chosen by its tags.
                    match (&source.parent, source.tags()) {
                        (Some((parent, _)), Some(tags)) => add(Way::In, *parent, Some(self.tagged(*parent, tags))),
                        _ => add(Way::In, source.index, None),
                    }
                }
                if direction != MirrorDirection::Rx {
                    add(Way::Out, source.index, None);
                    self.interfaces.children(source.index).into_iter().for_each(|child| add(Way::Out, child, None));
                }
            }
        }
        all
    }

    /// The frames of a sub-interface among its parent's.
    fn tagged(&self, parent: u32, tags: Tags) -> Tagged {
        let others = self.interfaces.children(parent).into_iter();
        let others = others.filter_map(|child| self.interfaces.get(child)?.tags());
        let same = others.filter(|other| (other.outer, other.tag_type) == (tags.outer, tags.tag_type));
        let not = if tags.inner.is_none() { same.filter_map(|other| other.inner).collect() } else { Vec::new() };
        Tagged { tags, not }
    }

    /// Takes in what the packet path has to say.
    pub(super) fn pump_mirrors(&mut self) {
        if self.pump_files() {
            self.follow_mirrors();
        }
    }

    /// Writes what was copied for files meanwhile; whether one could not be written.
    fn pump_files(&mut self) -> bool {
        let mut broken = Vec::new();
        for (name, running) in &mut self.mirrors.running {
            let Some(Written { captures, writer }) = &mut running.file else { continue };
            let mut written = Ok(());
            while let (Ok(()), Some(captured)) = (&written, captures.pop()) {
                let link = self.interfaces.link_type(captured.interface);
                written = writer.packet(&captured, &self.interfaces.name(captured.interface), link);
            }
            if let Err(error) = written {
                running.stop(Some(error.to_string()));
                broken.push((name.to_string(), error));
            }
        }
        for (name, error) in &broken {
            self.tell(Severity::Error, format!("mirror {name}"), format!("ends: {error}"));
        }
        !broken.is_empty()
    }

    /// What is done once a second: files are flushed, those that could not be opened are tried again, and it is told who is done.
    pub(super) fn second_mirrors(&mut self) {
        self.pump_mirrors();
        let (mut done, mut again) = (Vec::new(), false);
        for (name, running) in &mut self.mirrors.running {
            if let Some(file) = &mut running.file {
                // An error comes again with the next frame.
                let _ = file.writer.flush();
            } else if running.problem.is_some() && running.tried.elapsed() > AGAIN {
                running.problem = None;
                again = true;
            }
            if running.is_done() && !running.told {
                running.told = true;
                done.push((name.to_string(), running.totals().copied));
            }
        }
        if again || !done.is_empty() {
            self.follow_mirrors();
        }
        for (name, copied) in done {
            self.tell(Severity::Info, format!("mirror {name}"), format!("is done: {copied} frames were copied"));
        }
    }
}
