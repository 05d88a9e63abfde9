//! A VRF: its tables of both address families, and what they share.

use super::groups::{Groups, Plane};
use super::table::{Parts, Table};
use super::watch::Watchers;
use millrace_tables::lpm;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An origin that is not the router itself. Its routes have the same place in both tables.
#[derive(Debug)]
pub struct Learned {
    pub name: Arc<str>,
    /// Administrative distance.
    pub distance: u8,
    /// Who may change it.
    pub session: Option<u64>,
    /// Goes on by one each time that all routes are replaced. That 2^32 of these end too early while a route is never
    /// named, so that it would pass for a new one, does not happen.
    pub generation: u32,
    /// Whether all routes are being replaced.
    pub replacing: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Vrf {
    pub four: Table<u32>,
    pub six: Table<u128>,
    pub groups: Groups,
    /// What it is told by, the best first.
    pub learned: Vec<Learned>,
}

/// What of a VRF, and around it, is changed together.
#[derive(Debug)]
pub struct Split<'a> {
    pub four: &'a mut Table<u32>,
    pub six: &'a mut Table<u128>,
    pub learned: &'a mut Vec<Learned>,
    pub parts: Parts<'a>,
}

impl Vrf {
    /// Without routes.
    pub fn new(four: lpm::Writer<u32>, six: lpm::Writer<u128>) -> Vrf {
        Vrf { four: Table::new(four), six: Table::new(six), groups: Groups::default(), learned: Vec::new() }
    }

    /// Its parts, for its number.
    pub fn split<'a>(&'a mut self, table: u32, plane: Plane<'a>, watchers: &'a mut Watchers) -> Split<'a> {
        let Vrf { four, six, groups, learned } = self;
        Split { four, six, learned, parts: Parts { table, groups, plane, watchers } }
    }

    /// Gives an origin a place.
    pub fn insert_origin(&mut self, at: usize, origin: Learned) {
        self.learned.insert(at, origin);
        self.four.rib.learned.insert(at, BTreeMap::new());
        self.six.rib.learned.insert(at, BTreeMap::new());
        self.four.restart_work();
        self.six.restart_work();
    }

    /// Takes out an origin without routes.
    pub fn remove_origin(&mut self, at: usize) {
        self.learned.remove(at);
        self.four.rib.learned.remove(at);
        self.six.rib.learned.remove(at);
        self.four.restart_work();
        self.six.restart_work();
    }

    /// How many routes an origin has. O(1).
    pub fn told(&self, at: usize) -> usize {
        self.four.rib.learned.get(at).map_or(0, BTreeMap::len) + self.six.rib.learned.get(at).map_or(0, BTreeMap::len)
    }
}
