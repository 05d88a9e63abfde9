//! The vector engine: buffers, frames, nodes, dispatch, workers. It knows no protocol and no device.
//!
//! Packets move in vectors of up to 256 through a graph of [`Node`]s, one copy of the graph per worker thread. A node
//! says for one packet where it goes next; everything else (the loop, prefetching, scattering, statistics, tracing,
//! containing a panic) is here, once.
//!
//! | file | what |
//! |---|---|
//! | `memory` `pool` `packet` | buffers: where packets live, and the safe view of one |
//! | `node` `ctx` `arc` `graph` | what a node is, what it may reach, and how nodes become a graph |
//! | `frame` `dispatch` `schedule` `run` `builtin` | vectors on their way |
//! | `worker` `waker` `device` | threads, their sleep, and the queues they poll |
//! | `shared` `engine` `counters` `rows` `trace` | what control sees and does |
//! | `epoch` `local` | wait-free reads of tables that others change, and state that one worker keeps to itself |

pub mod arc;
pub mod builtin;
pub mod clock;
pub mod counters;
mod ctx;
pub mod device;
mod dispatch;
mod engine;
pub mod epoch;
mod frame;
mod graph;
mod local;
pub mod memory;
pub mod node;
mod packet;
mod panic;
pub mod pool;
mod rows;
mod run;
mod schedule;
mod shared;
mod states;
pub mod testing;
pub mod trace;
mod waker;
mod worker;

pub use arc::{ArcName, ArcPoint, Feature};
pub use ctx::Ctx;
pub use dispatch::Level;
pub use engine::{Attach, Engine, EngineConfig, EngineError, WorkerConfig};
pub use frame::VECTOR;
pub use graph::{Graph, GraphError};
pub use local::{Borrow, Local};
pub use node::{Node, NodeName};
pub use packet::{Packet, Parts, Segments};
pub use pool::{Buffer, CELL, Cache, Copies, DATA, HEADROOM, Part, Pool};
pub use rows::{ErrorRow, LedgerTotals, NodeRow};
pub use shared::QueueLost;
pub use waker::Waker;
pub use worker::Mode;
