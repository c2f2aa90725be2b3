//! A queue in front of CONNECT: clients that come faster than they are let in get a turn each, at the pace.
//!
//! Nothing is kept of those who wait but the time until which all turns are given away. So the queue costs the same for
//! one client as for thousands, shards use it without a lock, and it is as long as the longest wait that is allowed:
//! that times the pace.

use crate::Instant;
use crate::meters::Meter;

/// The queue of one listener, or of the whole broker.
#[derive(Debug)]
pub struct ConnectQueue(Meter);

impl ConnectQueue {
    /// A queue in which nobody waits. It lets in so many a second, and a second's worth at once; 0: any number.
    pub fn new(per_second: u32) -> Self {
        Self(Meter::new(per_second.into()))
    }

    /// So many a second are let in; 0: any number.
    pub fn per_second(&self) -> u64 {
        self.0.per_second()
    }

    /// The turn of one who comes now, which is its own from now on; `None`: it would have to wait for longer than so
    /// many milliseconds, and gets none.
    pub fn turn(&self, now: Instant, wait_millis_max: u64) -> Option<Instant> {
        self.0.take_by(now + wait_millis_max, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(1_000_000 + millis)
    }

    #[test]
    fn a_storm_is_let_in_at_the_pace_and_in_the_order_in_which_it_came() {
        let queue = ConnectQueue::new(10);
        let turns: Vec<u64> =
            (0..31).map(|_| queue.turn(at(0), 2_000).expect("all of them fit").millis_since(at(0))).collect();
        assert_eq!(turns[..11], [0; 11], "a second's worth, and the one that is paid for later");
        let expected: Vec<u64> = (1..=20).map(|place| place * 100).collect();
        assert_eq!(turns[11..], expected);
        assert_eq!(queue.turn(at(0), 2_000), None, "the queue is as long as the longest wait");
        assert_eq!(queue.turn(at(100), 2_000), Some(at(2_100)), "whoever is refused takes no place");
    }

    #[test]
    fn those_who_come_slowly_never_wait() {
        let queue = ConnectQueue::new(10);
        assert!((0..1000).all(|n| queue.turn(at(n * 100), 0) == Some(at(n * 100))));
        assert!(
            (0..1000).all(|_| ConnectQueue::new(0).turn(at(0), 0) == Some(at(0))),
            "without a pace nobody does"
        );
    }
}
