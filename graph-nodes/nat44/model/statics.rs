//! Configured mappings.

use super::packet::End;
use std::net::Ipv4Addr;

/// A configured mapping.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Static {
    /// None: all, where there are no ports.
    pub protocol: Option<u8>,
    pub external: Ipv4Addr,
    /// None: the whole address.
    pub ports: Option<(u16, u16)>,
    /// Servers, with the port that stands behind the first of the external ones.
    pub internal: Vec<(Ipv4Addr, u16)>,
    pub table: u32,
}

impl Static {
    /// The servers behind an external end.
    pub fn behind(&self, protocol: u8, external: End) -> Vec<End> {
        let fits = self.external == external.0;
        match self.ports {
            Some((first, last)) if fits && self.protocol == Some(protocol) && (first..=last).contains(&external.1) => {
                self.internal.iter().map(|(server, port)| (*server, port + (external.1 - first))).collect()
            }
            None if fits && self.protocol.is_none_or(|p| p == protocol) => {
                self.internal.iter().map(|(server, _)| (*server, external.1)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// How outside sees an inside end, if it is one of the servers.
    pub fn before(&self, protocol: u8, table: u32, inside: End) -> Option<End> {
        // Where several servers share a port, none is it when it speaks first.
        let [(server, port)] = self.internal[..] else { return None };
        match self.ports {
            _ if (self.table, server) != (table, inside.0) => None,
            Some((first, last)) if self.protocol == Some(protocol) => {
                let external = inside.1.checked_sub(port)?.checked_add(first)?;
                (external <= last).then_some((self.external, external))
            }
            None if self.protocol.is_none_or(|p| p == protocol) => Some((self.external, inside.1)),
            _ => None,
        }
    }
}
