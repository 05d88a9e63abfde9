//! A frame: up to 256 packets on their way to one node.

/// Packets in a full vector.
pub const VECTOR: usize = 256;

/// Buffer indices, each owned by the frame.
pub(crate) struct Frame {
    len: usize,
    indices: [u32; VECTOR],
}

impl Frame {
    pub fn boxed() -> Box<Frame> {
        Box::new(Frame { len: 0, indices: [0; VECTOR] })
    }

    #[inline(always)]
    pub fn len(&self) -> usize {
        // Tells the compiler what `push` and `fill` keep true.
        self.len.min(VECTOR)
    }

    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline(always)]
    pub fn room(&self) -> usize {
        VECTOR - self.len()
    }

    #[inline(always)]
    pub fn as_slice(&self) -> &[u32] {
        &self.indices[..self.len()]
    }

    /// Adds a packet; false when the frame is full and the packet still the caller's.
    #[inline(always)]
    #[must_use]
    pub fn push(&mut self, index: u32) -> bool {
        let fits = self.len < VECTOR;
        if fits {
            self.indices[self.len] = index;
            self.len += 1;
        }
        fits
    }

    /// Has `take` put up to `n` packets behind those that are there, in one go; how many it put.
    #[inline(always)]
    pub fn fill(&mut self, n: usize, take: impl FnOnce(&mut [u32]) -> usize) -> usize {
        let len = self.len();
        let free = &mut self.indices[len..];
        let n = n.min(free.len());
        let taken = take(&mut free[..n]).min(n);
        self.len = len + taken;
        taken
    }

    /// Overwrites the packet at `at`; the caller has taken the one that was there.
    #[inline(always)]
    pub fn set(&mut self, at: usize, index: u32) {
        if let Some(i) = self.indices.get_mut(at) {
            *i = index;
        }
    }

    /// Gives up all packets from `len` on; the caller has taken them.
    #[inline(always)]
    pub fn shorten(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Gives up all packets; the caller has taken them.
    #[inline(always)]
    pub fn clear(&mut self) {
        self.len = 0;
    }
}
