//! `vrfs`: routing tables beside `default`, each with its own interfaces, routes and neighbours.

/// A VRF; its name is its key in [`Config::vrfs`](crate::Config::vrfs). It has no settings of its own so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vrf {}
