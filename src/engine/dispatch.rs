//! The one loop over packets: prefetch ahead, call the node, note the next; and its variants for processor levels.

use crate::ctx::{Ctx, Env};
use crate::frame::VECTOR;
use crate::node::{Node, NodeName, SLOT_HOLD};
use crate::pool::Cells;

/// Packets that the prefetch is ahead of the work.
const AHEAD: usize = 8;
/// Packets that a node with passes takes at a time: enough for their loads to overlap, and few enough for what was loaded to be in the
/// first-level cache still when its pass comes.
const BATCH: usize = 64;
/// In the table of nexts: not dealt with yet (a panic came before).
pub(crate) const UNTOUCHED: u8 = 0xff;
/// In the table of nexts: owned by the node now.
pub(crate) const GONE: u8 = 0xfe;

/// Where each packet of a frame goes, by slot.
pub(crate) type Nexts = [u8; VECTOR];

/// x86-64 instruction sets for which the loop is compiled.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// What the whole program is built for.
    V2,
    /// AVX2, BMI2 and their like.
    V3,
    /// AVX-512.
    V4,
}

impl Level {
    /// The best that this processor has, or less where the environment variable `MILLRACE_CPU` names less (`x86-64-v2`,
    /// `x86-64-v3`): for measuring, and for a processor that misbehaves.
    pub fn detect() -> Level {
        let v3 = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("movbe")
            && is_x86_feature_detected!("fma");
        let v4 = v3
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512cd")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        let has = if v4 {
            Level::V4
        } else if v3 {
            Level::V3
        } else {
            Level::V2
        };
        let wanted = match std::env::var("MILLRACE_CPU").as_deref() {
            Ok("x86-64-v2") => Level::V2,
            Ok("x86-64-v3") => Level::V3,
            _ => Level::V4,
        };
        has.min(wanted)
    }

    /// Its name in the psABI.
    pub fn name(self) -> &'static str {
        match self {
            Level::V2 => "x86-64-v2",
            Level::V3 => "x86-64-v3",
            Level::V4 => "x86-64-v4",
        }
    }
}

/// How a frame is to be run.
#[derive(Clone, Copy)]
pub(crate) struct How<'a> {
    pub level: Level,
    /// Whether nothing of the packets is in the caches yet: they come from a device.
    pub cold: bool,
    /// With tracing: the node's position, and the names of its targets by slot.
    pub trace: Option<(usize, &'a [Option<NodeName>])>,
}

/// A node's instance, whatever its type.
pub(crate) trait Run: Send {
    /// Runs a frame; afterwards `nexts` says where each packet goes.
    fn run(&mut self, indices: &[u32], nexts: &mut Nexts, env: Env<'_>, how: How<'_>);
    fn tick(&mut self, env: Env<'_>);
    fn wants_tick(&self) -> bool;
}

/// The instance of node type `N` on one worker.
pub(crate) struct Instance<N>(N);

impl<N: Node> Instance<N> {
    pub fn new(node: N) -> Instance<N> {
        Instance(node)
    }
}

impl<N: Node> Run for Instance<N> {
    fn run(&mut self, indices: &[u32], nexts: &mut Nexts, env: Env<'_>, how: How<'_>) {
        if let Some((position, targets)) = how.trace {
            return traced(&mut self.0, indices, nexts, &mut Ctx::new(env, true), position, targets);
        }
        let cx = &mut Ctx::new(env, false);
        match how.level {
            // SAFETY: `Level::detect` found every feature that the function is compiled for.
            Level::V4 => unsafe { each_v4(&mut self.0, indices, nexts, cx, how.cold) },
            // SAFETY: as above.
            Level::V3 => unsafe { each_v3(&mut self.0, indices, nexts, cx, how.cold) },
            Level::V2 => each(&mut self.0, indices, nexts, cx, how.cold),
        }
    }

    fn tick(&mut self, env: Env<'_>) {
        let tracing = env.tracer.active(env.now);
        self.0.tick(&mut Ctx::new(env, tracing));
    }

    fn wants_tick(&self) -> bool {
        self.0.wants_tick()
    }
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,movbe,fma,popcnt")]
fn each_v3<N: Node>(node: &mut N, indices: &[u32], nexts: &mut Nexts, cx: &mut Ctx<'_, N>, cold: bool) {
    each(node, indices, nexts, cx, cold);
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,movbe,fma,popcnt,avx512f,avx512bw,avx512cd,avx512dq,avx512vl")]
fn each_v4<N: Node>(node: &mut N, indices: &[u32], nexts: &mut Nexts, cx: &mut Ctx<'_, N>, cold: bool) {
    each(node, indices, nexts, cx, cold);
}

/// The loop.
#[inline(always)]
fn each<N: Node>(node: &mut N, indices: &[u32], nexts: &mut Nexts, cx: &mut Ctx<'_, N>, cold: bool) {
    let cells = cx.env.cache.pool().cells();
    let batch = if N::STAGES == 0 { VECTOR } else { BATCH };
    for (indices, nexts) in indices.chunks(batch).zip(nexts.chunks_mut(batch)) {
        stages(node, indices, cx, cold);
        for (i, (&index, next)) in indices.iter().zip(nexts).enumerate() {
            if N::STAGES == 0 && N::LOOKS && cold {
                prefetch_ahead(cells, indices, i);
            }
            // SAFETY: the frame owns the index; this is the only view of it.
            let mut packet = unsafe { cells.packet(index) };
            let to = node.packet(&mut packet, cx);
            *next = cx.resolve(to);
            if N::HOLDS && *next == SLOT_HOLD {
                *next = GONE;
                hand_over(node, index, cx);
            }
        }
    }
    node.end_of_frame(cx);
}

/// The passes before the last, for nodes whose lookups are to overlap.
#[inline(always)]
fn stages<N: Node>(node: &mut N, indices: &[u32], cx: &mut Ctx<'_, N>, cold: bool) {
    const { assert!(N::STAGES <= 4, "a node has at most four passes before its last") };
    // Not a loop: each pass is compiled by itself, for the number that it has.
    if N::STAGES > 0 {
        pass(node, 0, indices, cx, cold);
    }
    if N::STAGES > 1 {
        pass(node, 1, indices, cx, false);
    }
    if N::STAGES > 2 {
        pass(node, 2, indices, cx, false);
    }
    if N::STAGES > 3 {
        pass(node, 3, indices, cx, false);
    }
}

#[inline(always)]
fn pass<N: Node>(node: &mut N, stage: usize, indices: &[u32], cx: &mut Ctx<'_, N>, cold: bool) {
    let cells = cx.env.cache.pool().cells();
    for (i, &index) in indices.iter().enumerate() {
        if cold {
            prefetch_ahead(cells, indices, i);
        }
        // SAFETY: as in `each`.
        let mut packet = unsafe { cells.packet(index) };
        node.prefetch(stage, &mut packet, cx);
    }
}

#[inline(always)]
fn prefetch_ahead(cells: Cells, indices: &[u32], i: usize) {
    if let Some(&index) = indices.get(i + AHEAD) {
        cells.prefetch(index);
    }
}

/// Gives the node the packet that it asked to keep; the caller has marked it as GONE.
#[cold]
fn hand_over<N: Node>(node: &mut N, index: u32, cx: &mut Ctx<'_, N>) {
    let pool = cx.env.cache.pool();
    // SAFETY: the frame owned the index and gave it up.
    let buffer = unsafe { pool.adopt(index) };
    node.hold(buffer, cx);
}

/// The loop with a record of what happens to marked packets.
#[inline(never)]
fn traced<N: Node>(
    node: &mut N,
    indices: &[u32],
    nexts: &mut Nexts,
    cx: &mut Ctx<'_, N>,
    position: usize,
    targets: &[Option<NodeName>],
) {
    let pool = cx.env.cache.pool();
    for &index in indices {
        // SAFETY: the frame owns the index; this is the only view of it.
        cx.env.tracer.consider(position, &mut unsafe { pool.packet(index) });
    }
    stages(node, indices, cx, true);
    for (&index, next) in indices.iter().zip(nexts.iter_mut()) {
        // SAFETY: as above.
        let mut packet = unsafe { pool.packet(index) };
        let id = packet.traced().then(|| packet.trace_id());
        // What packets that nobody asked for left there.
        cx.env.tracer.begin();
        let to = node.packet(&mut packet, cx);
        *next = cx.resolve(to);
        if let Some(id) = id {
            cx.env.tracer.hop(id, N::NAME, targets.get(usize::from(*next)).copied().flatten());
        }
        if N::HOLDS && *next == SLOT_HOLD {
            *next = GONE;
            hand_over(node, index, cx);
        }
    }
    node.end_of_frame(cx);
}

/// After a panic: what of the frame is still the engine's to free.
pub(crate) fn left_behind<'a>(indices: &'a [u32], nexts: &'a Nexts) -> impl Iterator<Item = u32> + 'a {
    indices.iter().zip(nexts).filter(|(_, n)| **n != GONE).map(|(i, _)| *i)
}

/// The slot of all packets, when they go one way.
#[inline(always)]
pub(crate) fn one_way(nexts: &[u8]) -> Option<u8> {
    let first = *nexts.first()?;
    let differ = nexts.iter().fold(0, |d, n| d | (n ^ first));
    (differ == 0).then_some(first)
}
