//! Flows: what a translator or a stateful firewall knows of each connection, found by packets of either direction.
//!
//! A [`FlowTable`] belongs to one worker. A [`Flow`] is one cache line, which has all that a packet needs; an [`Index`], from a hash of
//! the packet's [`Key`] to the flow's number, finds it with one more. Both are prefetched for a whole frame:
//! ```
//! use std::net::Ipv4Addr;
//! use millrace_tables::flow::{FlowTable, Key, NewFlow, Owner, Side, State, Ticks, View};
//!
//! let inside = View::new(Ipv4Addr::new(192, 168, 1, 2), 5000, Ipv4Addr::new(198, 51, 100, 7), 53);
//! let outside = View::new(Ipv4Addr::new(198, 51, 100, 7), 53, Ipv4Addr::new(203, 0, 113, 1), 1024);
//! let mut flows = FlowTable::new(1_000_000)?;
//! let new = NewFlow { views: [inside, outside], protocol: 17, table: 0, owner: Owner::Nat44, opener: Side::Inside, state: State::Unreplied };
//! let id = flows.insert(&new, Ticks::from_nanos(0))?;
//!
//! // For each packet of a frame, then for each again, and for each again:
//! let key = Key { view: outside, protocol: 17, table: 0 };
//! let hash = flows.hash(&key);
//! flows.prefetch(hash);
//!
//! let candidate = flows.candidate(hash);
//! flows.prefetch_flow(candidate);
//!
//! let flow = flows.get_mut(candidate).filter(|flow| flow.matches(Side::Outside, &key));
//! let flow = flow.ok_or("another flow of the same hash, or none: see `FlowTable::find`")?;
//! flow.touch(Ticks::from_nanos(1));
//! assert_eq!(flow.translated(Side::Outside), inside.swapped());
//! # assert_eq!(candidate, id);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! Time comes from the caller, in [`Ticks`]. A packet only notes it; [`FlowTable::expire`] looks at a flow when its deadline passes.

mod hash;
mod index;
mod record;
mod state;
mod table;
pub mod tcp;
mod time;
mod view;
mod wheel;

pub use hash::{Hash, Seed};
pub use index::{Crowded, Index};
pub use record::{Flow, NewFlow, Owner};
pub use state::{State, Timeouts};
pub use table::{FlowTable, InsertError, MAX_FLOWS};
pub use time::Ticks;
pub use view::{Key, Side, View};
pub use wheel::FlowId;
