//! One bound for the bytes of all transcripts in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bound, and what is taken of it.
#[derive(Debug)]
pub(super) struct Room {
    limit: usize,
    taken: AtomicUsize,
}

/// Bytes of the room; given back when dropped.
#[derive(Debug)]
pub(super) struct Claim {
    room: Arc<Room>,
    bytes: usize,
}

// === impl Room ===

impl Room {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            taken: AtomicUsize::new(0),
        }
    }

    pub(super) fn claim(room: &Arc<Self>, bytes: usize) -> Option<Claim> {
        let mut claim = Claim {
            room: Arc::clone(room),
            bytes: 0,
        };
        claim.grow(bytes).then_some(claim)
    }
}

// === impl Claim ===

impl Claim {
    /// Takes more. False: there is no room, and nothing is taken.
    pub(super) fn grow(&mut self, more: usize) -> bool {
        let taken = &self.room.taken;
        let before = taken.fetch_add(more, Ordering::Relaxed);
        if before.saturating_add(more) > self.room.limit {
            taken.fetch_sub(more, Ordering::Relaxed);
            return false;
        }
        self.bytes += more;
        true
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_taken_than_there_is_and_all_comes_back() {
        let room = Arc::new(Room::new(10));
        let mut one = Room::claim(&room, 6).unwrap();
        assert!(Room::claim(&room, 5).is_none());
        let two = Room::claim(&room, 4).unwrap();
        assert!(!one.grow(1));
        drop(two);
        assert!(one.grow(4));
        drop(one);
        assert_eq!(room.taken.load(Ordering::Relaxed), 0);
    }
}
