//! What a node is: typed nexts, counted reasons, a trace, and one function for one packet.

use crate::ctx::Ctx;
use crate::packet::Packet;
use crate::pool::Buffer;
use std::fmt;

/// A node's name, as operators see it and as edges name it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct NodeName(&'static str);

impl NodeName {
    /// A name; unique in the graph.
    pub const fn new(name: &'static str) -> NodeName {
        NodeName(name)
    }

    /// The text of it.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

/// One step of the graph. Everything about it stands in one file: module doc, edges, counters, trace, node, tests.
///
/// The engine owns the loop: it prefetches packets, calls [`Node::packet`] for each of a frame, and scatters them to
/// their nexts. Each worker has its own instance, so `&mut self` is private state.
pub trait Node: Send + Sized + 'static {
    /// Its name.
    const NAME: NodeName;
    /// How many passes over some 64 packets of a frame go before [`Node::packet`], to overlap memory lookups; 0 for most nodes.
    const STAGES: usize = 0;
    /// Whether it looks at packets' bytes. For one that doesn't, the engine doesn't load them into the cache.
    const LOOKS: bool = true;
    /// Whether it keeps packets ([`Ctx::hold`]).
    const HOLDS: bool = false;
    /// Whether it passes packets to other workers ([`Ctx::hand_off`]).
    const HANDS_OFF: bool = false;
    /// Where packets can go (`edges!`).
    type Next: Edges;
    /// What it counts (`counters!`).
    type Count: Counters;
    /// What `show trace` says of a packet that it saw.
    type Trace: Trace;

    /// Pass `stage` (0..STAGES) over one packet of the frame: read the key, prefetch the bucket.
    #[inline(always)]
    fn prefetch(&mut self, stage: usize, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) {
        let _ = (stage, packet, cx);
    }

    /// Deals with one packet and says where it goes next.
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Self::Next;

    /// Once after the last packet of a frame, for what was gathered over it.
    #[inline(always)]
    fn end_of_frame(&mut self, cx: &mut Ctx<'_, Self>) {
        let _ = cx;
    }

    /// Receives a packet that it asked to keep. What the packet's way needs later stands in its metadata.
    fn hold(&mut self, buffer: Buffer, cx: &mut Ctx<'_, Self>) {
        cx.free(buffer);
    }

    /// Whether it waits for something and wants [`Node::tick`] to be called.
    fn wants_tick(&self) -> bool {
        false
    }

    /// Every 10 ms or so while wanted, and soon after control says that tables changed.
    fn tick(&mut self, cx: &mut Ctx<'_, Self>) {
        let _ = cx;
    }
}

/// What a trace entry may be: something that can print itself. It is made for marked packets only.
pub trait Trace: fmt::Display + 'static {}
impl<T: fmt::Display + 'static> Trace for T {}

/// The trace of a node that has nothing to say beyond where the packet went.
#[derive(Clone, Copy)]
pub struct NoTrace;

impl fmt::Display for NoTrace {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// Proof of having gone through [`Ctx`]: only the engine makes one, so that a drop always has a counted cause, a held
/// packet always an owner, and an arc always a feature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token(pub(crate) ());

/// Slot of the drop edge in every node.
pub(crate) const SLOT_DROP: u8 = 0;
/// Stands for the slot that the context holds; as such a slot, the way to other workers.
pub(crate) const SLOT_CHOSEN: u8 = 1;
/// First slot of a node's own edges.
pub(crate) const SLOT_FIRST: u8 = 2;
/// No edge: the packet ends here.
pub(crate) const SLOT_CONSUME: u8 = 0xfd;
/// No edge: the node keeps the packet.
pub(crate) const SLOT_HOLD: u8 = 0xfc;

/// The nexts of a node; implemented by `edges!` only.
pub trait Edges: Copy + 'static {
    /// The targets, in slot order.
    const TARGETS: &'static [NodeName];
    /// The slot in the node's table of targets.
    fn slot(self) -> u8;
    /// The drop edge.
    fn dropped(token: Token) -> Self;
    /// What the context chose: a feature of an arc, or no edge.
    fn chosen(token: Token) -> Self;
}

/// The counters of a node; implemented by `counters!` only.
pub trait Counters: Copy + 'static {
    /// What each counts, in index order, as `show errors` and the metrics print it.
    const REASONS: &'static [&'static str];
    /// Position in that list.
    fn index(self) -> usize;
}

/// Declares where a node's packets can go: `edges! { pub enum Next { Rewrite => rewrite::NAME } }`. A wrong name does
/// not compile. The way to `error-drop` is there without being named, and leads through [`Ctx::drop`] only.
#[macro_export]
macro_rules! edges {
    ($(#[$meta:meta])* $vis:vis enum $name:ident $(<$generic:ident: $bound:path>)? {
        $($(#[$vmeta:meta])* $variant:ident => $target:expr),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        $vis enum $name $(<$generic: $bound>)? {
            #[doc(hidden)]
            Dropped($crate::node::Token),
            #[doc(hidden)]
            Chosen($crate::node::Token $(, std::marker::PhantomData<$generic>)?),
            $($(#[$vmeta])* #[doc = concat!("To `", stringify!($target), "`.")] $variant,)*
        }
        impl $(<$generic: $bound>)? $crate::node::Edges for $name $(<$generic>)? {
            const TARGETS: &'static [$crate::node::NodeName] = &[$($target),*];
            #[inline(always)]
            fn slot(self) -> u8 {
                #[allow(dead_code)]
                enum Slot { Dropped, Chosen, $($variant),* }
                match self {
                    Self::Dropped(_) => Slot::Dropped as u8,
                    Self::Chosen(..) => Slot::Chosen as u8,
                    $(Self::$variant => Slot::$variant as u8,)*
                }
            }
            #[inline(always)]
            fn dropped(token: $crate::node::Token) -> Self { Self::Dropped(token) }
            #[inline(always)]
            fn chosen(token: $crate::node::Token) -> Self { Self::Chosen(token $(, std::marker::PhantomData::<$generic>)?) }
        }
    };
}

/// Declares what a node counts, with the text that operators read:
/// `counters! { pub enum Count { Expired => "time to live ran out" } }`.
#[macro_export]
macro_rules! counters {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$vmeta:meta])* $variant:ident => $reason:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        $vis enum $name { $($(#[$vmeta])* #[doc = $reason] $variant),* }
        impl $crate::node::Counters for $name {
            const REASONS: &'static [&'static str] = &[$($reason),*];
            #[inline(always)]
            fn index(self) -> usize { match self { $(Self::$variant => Self::$variant as usize),* } }
        }
    };
}
