//! Sub-interfaces: the frames of an interface with one tag (IEEE 802.1Q) or two (QinQ: IEEE 802.1ad). Written under
//! `sub-interfaces` of their parent, as `100` or, outer and inner tag, `200.10`.

use crate::{
    decode::{Unreadable, number},
    keyword::keywords,
    name::Name,
    yaml::Node,
};

/// A sub-interface: its name is `parent.outer` or `parent.outer.inner`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// The interface whose tagged frames these are.
    pub parent: Name,
    /// The VLAN identifier of the outer, or only, tag; [`Vlan::MIN`] to [`Vlan::MAX`].
    pub outer: u16,
    /// The VLAN identifier of the inner tag, if there are two; the same range.
    pub inner: Option<u16>,
    /// What kind the outer tag is; the inner one is always [`TagType::Dot1q`]. Default: see [`Vlan::tag_type_for`].
    pub tag_type: TagType,
}

keywords! {
    /// The kind of a VLAN tag.
    TagType, "802.1q or 802.1ad" {
        /// A customer's tag: EtherType 0x8100.
        Dot1q = "802.1q",
        /// A provider's tag: EtherType 0x88a8.
        Dot1ad = "802.1ad",
    }
}

impl TagType {
    /// The EtherType that says that such a tag follows.
    pub const fn ethertype(self) -> u16 {
        match self {
            Self::Dot1q => 0x8100,
            Self::Dot1ad => 0x88a8,
        }
    }
}

impl Vlan {
    /// The lowest VLAN identifier (0 means no VLAN: IEEE 802.1Q-2018 table 9-2).
    pub const MIN: u16 = 1;
    /// The highest VLAN identifier (4095 is reserved: same table).
    pub const MAX: u16 = 4094;

    /// The kind of the outer tag if nothing is said: that of a customer with one tag, that of a provider with two.
    pub const fn tag_type_for(inner: Option<u16>) -> TagType {
        if inner.is_some() { TagType::Dot1ad } else { TagType::Dot1q }
    }

    /// How many bytes its tags take in a frame: 4 or 8.
    pub const fn tag_bytes(&self) -> u16 {
        if self.inner.is_some() { 8 } else { 4 }
    }

    /// Reads how a file and its name write it: outer and, if there are two, inner tag.
    pub(crate) fn read_key(text: &str) -> Result<(u16, Option<u16>), Unreadable> {
        let read = |text: &str| number(text, &(Self::MIN..=Self::MAX));
        let (outer, inner) = text.split_once('.').map_or((text, None), |(outer, inner)| (outer, Some(inner)));
        let both = read(outer).and_then(|outer| Ok((outer, inner.map(read).transpose()?)));
        both.map_err(|_| {
            let range = format_args!("{} to {}", Self::MIN, Self::MAX);
            Unreadable::wanted(format_args!("a whole number from {range}, or two such as 200.10: outer and inner tag"))
        })
    }

    /// The key of its tags, if they are not as by default.
    pub(crate) fn encode(&self, node: Node) -> Node {
        node.with_unless(&Self::tag_type_for(self.inner), "tag-type", &self.tag_type)
    }

    /// How a file and its name write it: `100`, or `200.10`.
    pub fn key(&self) -> String {
        match self.inner {
            Some(inner) => format!("{}.{inner}", self.outer),
            None => self.outer.to_string(),
        }
    }
}
