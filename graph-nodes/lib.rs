//! The nodes of the graph, a folder per feature.
#![forbid(unsafe_code)]
