//! Bonds: two routers joined by several cables, and raw ends of cables that speak LACP by hand.

mod active_backup;
mod lacp;
mod pair;
mod partner;
mod uses;
