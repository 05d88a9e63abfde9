//! `driver: pcap`: frames from and to capture files.

use crate::{
    decode::Fields,
    diagnostic::Reader,
    units::{Rate, Repeat},
    yaml::Node,
};
use std::path::PathBuf;

/// `driver: pcap`. At least one of `read` and `write` is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pcap {
    /// The capture whose frames come in.
    pub read: Option<PathBuf>,
    /// The capture that frames sent are written to.
    pub write: Option<PathBuf>,
    /// How often `read` is played (key `loop`); default once.
    pub repeat: Repeat,
    /// How fast `read` is played; default `max`.
    pub rate: Rate,
}

impl Pcap {
    pub(crate) fn decode(fields: &mut Fields<'_>, reader: &mut Reader) -> Option<Self> {
        let named = fields.has("read") || fields.has("write");
        let pcap = Self {
            read: fields.scalar("read", reader),
            write: fields.scalar("write", reader),
            repeat: fields.scalar("loop", reader).unwrap_or(Repeat::ONCE),
            rate: fields.scalar("rate", reader).unwrap_or(Rate::Max),
        };
        if !named {
            reader.error(
                fields.at(""),
                format!("{}: pcap without a file", fields.what()),
                "expected `read`, `write` or both",
            );
        }
        if pcap.read.is_some() && pcap.read == pcap.write {
            let message = format!("{}: this is the file that is read", fields.name("write"));
            reader.error(fields.at("write"), message, "expected another file to write to");
        }
        (pcap.read.is_some() || pcap.write.is_some()).then_some(pcap)
    }

    pub(crate) fn encode(&self, mut node: Node) -> Node {
        for (key, path) in [("read", &self.read), ("write", &self.write)] {
            if let Some(path) = path {
                node = node.with(key, Node::text(path.display()));
            }
        }
        node.with_unless(&Repeat::ONCE, "loop", &self.repeat).with_unless(&Rate::Max, "rate", &self.rate)
    }
}
