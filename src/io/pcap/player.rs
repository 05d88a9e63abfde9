//! Playing a capture.

use super::{Counts, Frames, count};
use crate::pace::Pacer;
use millrace_engine::clock;
use millrace_engine::device::{RxBurst, Wake};
use std::sync::Arc;

/// Every n-th frame of a capture, over and over.
pub(crate) struct Player {
    frames: Arc<Frames>,
    next: usize,
    step: usize,
}

impl Player {
    /// The share `share.0` of `share.1`.
    pub fn new(frames: Arc<Frames>, share: (usize, usize)) -> Player {
        let len = frames.len().max(1);
        Player { frames, next: share.0 % len, step: share.1 % len }
    }

    /// Gives the burst at most `most` frames; how many.
    pub fn give(&mut self, most: usize, burst: &mut RxBurst<'_>) -> usize {
        for given in 0..most {
            if !self.frames.get(self.next).is_some_and(|frame| burst.push(&[frame])) {
                return given;
            }
            self.next += self.step;
            if self.next >= self.frames.len() {
                self.next -= self.frames.len();
            }
        }
        most
    }
}

/// A player that comes to an end.
pub(super) struct PlayQueue {
    player: Player,
    /// Frames still to come; `None`: without end.
    left: Option<u64>,
    pacer: Pacer,
    counts: Arc<Counts>,
}

impl PlayQueue {
    pub fn new(player: Player, mut left: Option<u64>, pacer: Pacer, counts: Arc<Counts>) -> PlayQueue {
        if player.frames.is_empty() {
            left = Some(0);
        }
        PlayQueue { player, left, pacer, counts }
    }

    pub fn rx(&mut self, burst: &mut RxBurst<'_>) {
        let now = if self.pacer.limited() { clock::now() } else { 0 };
        let left = self.left.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        let most = burst.room().min(self.pacer.due(now)).min(left);
        let given = self.player.give(most, burst);
        self.pacer.took(given);
        self.left = self.left.map(|n| n - given as u64);
        self.counts.add(count::PLAYED, given as u64);
    }

    pub fn wake(&self) -> Wake {
        if self.left == Some(0) { Wake::Never } else { self.pacer.wake() }
    }
}
