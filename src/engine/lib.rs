//! The vector engine: buffers, frames, nodes, dispatch, workers.
pub mod epoch;
