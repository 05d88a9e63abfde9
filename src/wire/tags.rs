//! The tags of a sub-interface: one, or two (802.1Q, 802.1ad).

use crate::{EtherType, Ethernet, IntoBytes, MacAddr, Vlan};

/// What lies between the addresses and the EtherType of a sub-interface's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tags {
    /// The EtherType of the (outer) tag: [`EtherType::VLAN`] or [`EtherType::SERVICE_VLAN`]. The inner one is always a customer's.
    pub tag_type: EtherType,
    /// The VLAN of the (outer) tag, 1 to 4094.
    pub outer: u16,
    /// The VLAN of the inner tag, 1 to 4094, if there is one.
    pub inner: Option<u16>,
}

impl Tags {
    /// The length of the longest header with tags, in bytes.
    pub const LONGEST: usize = Ethernet::LEN + 2 * Vlan::LEN;

    /// One 802.1Q tag.
    #[must_use]
    pub const fn single(vlan: u16) -> Tags {
        Tags { tag_type: EtherType::VLAN, outer: vlan, inner: None }
    }

    /// How many bytes they are: 4 or 8.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        if self.inner.is_some() { 2 * Vlan::LEN } else { Vlan::LEN }
    }

    /// Never.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Whether a frame has these tags first.
    #[must_use]
    pub fn are_in(&self, frame: &[u8]) -> bool {
        let word = |at: usize| frame.get(at..at + 2).map(|word| u16::from_be_bytes([word[0], word[1]]));
        let vlan = |at: usize| word(at).map(|control| control & 0xfff);
        let outer = word(12) == Some(self.tag_type.0) && vlan(14) == Some(self.outer);
        outer && self.inner.is_none_or(|inner| word(16) == Some(EtherType::VLAN.0) && vlan(18) == Some(inner))
    }

    /// An Ethernet header with the tags in it, of which the first `14 + len()` bytes count.
    #[must_use]
    pub fn header(&self, dst: MacAddr, src: MacAddr, ether_type: EtherType) -> [u8; Self::LONGEST] {
        let (first, second) = match self.inner {
            Some(inner) => (Vlan::new(self.outer, EtherType::VLAN), Vlan::new(inner, ether_type)),
            None => (Vlan::new(self.outer, ether_type), Vlan::new(0, ether_type)),
        };
        let mut header = [0; Self::LONGEST];
        let (ethernet, tags) = header.split_at_mut(Ethernet::LEN);
        let (outer, inner) = tags.split_at_mut(Vlan::LEN);
        ethernet.copy_from_slice(Ethernet::new(dst, src, self.tag_type).as_bytes());
        outer.copy_from_slice(first.as_bytes());
        inner.copy_from_slice(second.as_bytes());
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let header = |tags: Tags| {
            let bytes = tags.header(MacAddr([1; 6]), MacAddr([2; 6]), EtherType::IPV4);
            bytes[12..14 + tags.len()].to_vec()
        };
        assert_eq!(header(Tags::single(100)), [0x81, 0, 0, 100, 8, 0]);
        let qinq = Tags { tag_type: EtherType::SERVICE_VLAN, outer: 0x234, inner: Some(0x567) };
        assert_eq!(header(qinq), [0x88, 0xa8, 2, 0x34, 0x81, 0, 5, 0x67, 8, 0]);
        let bytes = qinq.header(MacAddr([1; 6]), MacAddr([2; 6]), EtherType::IPV4);
        assert!(
            qinq.are_in(&bytes)
                && Tags { inner: None, ..qinq }.are_in(&bytes)
                && Tags { inner: None, ..qinq }.are_in(&bytes[..16])
        );
        for other in
            [Tags { outer: 0x235, ..qinq }, Tags { inner: Some(1), ..qinq }, Tags { tag_type: EtherType::VLAN, ..qinq }]
        {
            assert!(!other.are_in(&bytes), "{other:?}");
        }
        assert!((0..20).all(|len| !qinq.are_in(&bytes[..len])));
        let mut bytes = bytes;
        bytes[16..18].copy_from_slice(&[0x88, 0xa8]);
        assert!(!qinq.are_in(&bytes), "an inner tag is a customer's");
        let plain = Tags { tag_type: EtherType::VLAN, ..qinq };
        assert_eq!(header(plain), [0x81, 0, 2, 0x34, 0x81, 0, 5, 0x67, 8, 0]);
    }
}
