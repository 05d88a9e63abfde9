//! `buffers`: the pool that every packet lives in.

use crate::{
    decode::Fields,
    diagnostic::{Reader, Spot},
    keyword::keywords,
    validate::Check,
    yaml::Node,
};

/// The buffer pool. Changing it takes a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffers {
    /// How many buffers of 2 KiB of data each; [`Buffers::MIN`] to [`Buffers::MAX`], default 65536.
    pub count: u32,
    /// Whether the pool lies in huge pages.
    pub huge_pages: HugePages,
}

keywords! {
    /// Whether the buffer pool lies in huge pages of 2 MiB.
    HugePages, "auto, required or off" {
        /// If there are any; otherwise in normal pages, with a warning (default).
        Auto = "auto",
        /// The daemon doesn't start without them.
        Required = "required",
        /// In normal pages.
        Off = "off",
    }
}

impl Buffers {
    /// The fewest buffers: enough for the rings of a few devices.
    pub const MIN: u32 = 4096;
    /// The most buffers: 16 Mi, about 40 GiB.
    pub const MAX: u32 = 16 << 20;
}

impl Default for Buffers {
    fn default() -> Self {
        Self { count: 65536, huge_pages: HugePages::Auto }
    }
}

impl Buffers {
    pub(crate) fn decode(node: &Node, reader: &mut Reader) -> Self {
        let default = Self::default();
        let Some(mut fields) = Fields::open(node, "buffers", "buffers", reader) else { return default };
        let buffers = Self {
            count: fields.number("count", Self::MIN..=Self::MAX, reader).unwrap_or(default.count),
            huge_pages: fields.scalar("huge-pages", reader).unwrap_or(default.huge_pages),
        };
        fields.close(reader);
        buffers
    }

    pub(crate) fn encode(&self) -> Node {
        let default = Self::default();
        Node::map().with_unless(&default.count, "count", &self.count).with_unless(
            &default.huge_pages,
            "huge-pages",
            &self.huge_pages,
        )
    }

    pub(crate) fn check(check: &mut Check<'_>) {
        let count = check.config.buffers.count;
        if !(Self::MIN..=Self::MAX).contains(&count) {
            let hint = format!("expected {} to {}", Self::MIN, Self::MAX);
            check.problem(Spot::new("buffers", ""), format!("buffers: count: {count} is out of range"), hint);
        }
    }
}
