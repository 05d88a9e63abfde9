//! Deferred reclamation for tables that workers read without locks: quiescent-state-based (QSBR).
//!
//! A writer swaps the new value in, then [retires](Domain::retire) the old one. Every worker is a [`Participant`] that passes a
//! [quiescent point](Participant::quiescent) once per loop, where it holds no reference into any table. Retired garbage is dropped
//! by [`Domain::collect`] once every participant that is online has passed such a point after the retirement. A reader pays one
//! load and one store per loop and nothing per packet; a writer never waits for a reader.
//!
//! There is one domain per process. That is what makes it sound for a table to accept any [`Guard`]: the guard's participant is
//! always among those that the table's garbage waits for.
//!
//! # Why it is sound
//! Retiring bumps the global epoch to `e` *after* the old value was unlinked. A participant that announces `e` or more has read
//! the epoch after that bump (acquire), so what it loads from then on is the new value; what it did with the old value came before
//! its announcement (release), which the collector reads (acquire) before it drops anything. Coming online is the one place where
//! a store must be visible before later loads; there a sequentially consistent fence pairs with the one in [`Domain::collect`].
//! `tests/epoch_model.rs` checks this under the C++ memory model.
//!
//! References cannot cross a quiescent point, because it borrows the participant mutably:
//! ```compile_fail,E0502
//! use millrace_engine::epoch::{self, Published};
//! let table = Published::new(1);
//! let mut me = epoch::domain().register();
//! let value = table.get(&me.guard());
//! me.quiescent();
//! println!("{value}");
//! ```
//! and a guard stays on its participant's thread:
//! ```compile_fail,E0277
//! let me = millrace_engine::epoch::domain().register();
//! let guard = me.guard();
//! std::thread::scope(|s| { s.spawn(move || drop(guard)); });
//! ```

mod domain;
mod published;
mod sync;

pub use domain::{Domain, Guard, Lag, Participant, domain};
pub use published::{OutOfRange, Published, Slots};

#[cfg(test)]
mod tests;
