//! What `show trace` tells of a packet in the nodes of NAT.

use millrace_tables::flow::{FlowId, View};
use std::fmt;

/// In the fast nodes: the flow that was found.
pub struct Found {
    /// 0: none.
    pub flow: FlowId,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.flow {
            0 => f.write_str("no flow"),
            flow => write!(f, "flow {flow}"),
        }
    }
}

/// In the slow ones: what was translated to what; of an ICMP error the packet that it quotes.
pub struct Translated {
    /// 0: an error's, which is none's.
    pub flow: FlowId,
    /// What came.
    pub from: View,
    /// What it became.
    pub to: View,
}

impl fmt::Display for Translated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flow {} {} as {}", self.flow, self.from, self.to)
    }
}
