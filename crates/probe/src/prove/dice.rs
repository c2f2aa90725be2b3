//! Chance that can be repeated: when to kill, and when to kill again.

use std::time::Duration;

/// A sequence of numbers that follows from its seed (SplitMix64).
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, which is at least 1. The bias is far below what a run could show.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True once in `times` throws.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// A time of at least `from` and less than `to`, or `from` where there is none.
    pub(crate) fn between(&mut self, from: Duration, to: Duration) -> Duration {
        let span = to.saturating_sub(from).as_micros() as u64;
        from + Duration::from_micros(self.below(span.max(1)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_sequence_within_its_bounds() {
        let throw = |seed| {
            let mut dice = Dice::new(seed);
            (0..1_000).map(|_| dice.below(6)).collect::<Vec<_>>()
        };
        assert_eq!(throw(7), throw(7));
        assert_ne!(throw(7), throw(8));
        assert!((0..6).all(|side| throw(7).contains(&side)) && throw(7).iter().all(|&side| side < 6));
    }

    #[test]
    fn times_lie_between_their_ends() {
        let (mut dice, from, to) = (Dice::new(1), Duration::from_millis(5), Duration::from_millis(9));
        let times: Vec<Duration> = (0..1_000).map(|_| dice.between(from, to)).collect();
        assert!(times.iter().all(|time| (from..to).contains(time)));
        assert!(times.iter().min() != times.iter().max());
        assert_eq!(dice.between(to, from), to);
    }
}
