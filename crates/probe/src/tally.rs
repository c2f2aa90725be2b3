//! The books: which messages came, which came twice, which came late.
//!
//! Exact for any number of messages: a cell remembers the next sequence it expects and the gaps before it. Memory grows
//! only with gaps, that is with losses.

use std::ops::Range;

/// What every receiver got of every flow.
#[derive(Debug)]
pub(crate) struct Tally {
    cells: Vec<Cell>,
    pub(crate) duplicated: u64,
    pub(crate) out_of_order: u64,
    is_ordered: bool,
}

#[derive(Clone, Debug, Default)]
struct Cell {
    /// Everything before it came or lies in a gap.
    next: u64,
    /// What did not come, in order and without overlap.
    gaps: Vec<Range<u64>>,
}

/// What an arrival was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// For the first time.
    New,
    /// For the first time, after a later one.
    Late,
    /// Not for the first time.
    Duplicate,
}

impl Tally {
    /// Empty books. Without `is_ordered` nothing is out of order.
    pub(crate) fn new(cells: usize, is_ordered: bool) -> Self {
        Self { cells: vec![Cell::default(); cells], duplicated: 0, out_of_order: 0, is_ordered }
    }

    /// Enters an arrival.
    pub(crate) fn arrive(&mut self, cell: usize, sequence: u64) -> Arrival {
        let arrival = self.cells[cell].arrive(sequence);
        match arrival {
            Arrival::New => {}
            Arrival::Late => self.out_of_order += u64::from(self.is_ordered),
            Arrival::Duplicate => self.duplicated += 1,
        }
        arrival
    }

    /// The sequence a receiver expects: what comes next where payloads say nothing.
    pub(crate) fn expected(&self, cell: usize) -> u64 {
        self.cells[cell].next
    }

    /// How many different messages came.
    pub(crate) fn received(&self, cell: usize) -> u64 {
        let cell = &self.cells[cell];
        cell.next - cell.gaps.iter().map(|gap| gap.end - gap.start).sum::<u64>()
    }
}

impl Cell {
    fn arrive(&mut self, sequence: u64) -> Arrival {
        if sequence >= self.next {
            if sequence > self.next {
                self.gaps.push(self.next..sequence);
            }
            self.next = sequence + 1;
            return Arrival::New;
        }
        let at = self.gaps.partition_point(|gap| gap.end <= sequence);
        match self.gaps.get(at) {
            Some(gap) if gap.contains(&sequence) => self.close_gap(at, sequence),
            _ => return Arrival::Duplicate,
        }
        Arrival::Late
    }

    /// Takes one message out of a gap, which ends it, shortens it or splits it.
    fn close_gap(&mut self, at: usize, sequence: u64) {
        let gap = self.gaps[at].clone();
        let rest = [gap.start..sequence, sequence + 1..gap.end];
        self.gaps.splice(at..=at, rest.into_iter().filter(|part| !part.is_empty()));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Arrival::{Duplicate, Late, New};
    use super::*;

    fn arrivals(sequences: &[u64]) -> (Vec<Arrival>, u64) {
        let mut tally = Tally::new(1, true);
        let arrivals = sequences.iter().map(|&sequence| tally.arrive(0, sequence)).collect();
        (arrivals, tally.received(0))
    }

    #[test]
    fn what_came_is_told_from_what_did_not() {
        assert_eq!(arrivals(&[0, 1, 2]), (vec![New, New, New], 3));
        assert_eq!(arrivals(&[0, 2, 1]), (vec![New, New, Late], 3));
        assert_eq!(arrivals(&[0, 0]), (vec![New, Duplicate], 1));
        assert_eq!(arrivals(&[5]), (vec![New], 1));
        assert_eq!(arrivals(&[5, 2, 2, 4, 3, 0, 1, 1]).1, 6);
        assert_eq!(arrivals(&[3, 1, 1, 3]).0, [New, Late, Duplicate, Duplicate]);
    }

    #[test]
    fn the_books_agree_with_a_set_whatever_the_order() {
        let mut state = 7_u64;
        for _ in 0..200 {
            let (mut tally, mut seen) = (Tally::new(1, true), BTreeSet::new());
            for _ in 0..60 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let sequence = (state >> 33) % 40;
                let is_highest = seen.last().is_none_or(|&highest| sequence > highest);
                let expected = match (seen.insert(sequence), is_highest) {
                    (true, true) => New,
                    (true, false) => Late,
                    (false, _) => Duplicate,
                };
                assert_eq!(tally.arrive(0, sequence), expected);
                assert_eq!(tally.received(0), seen.len() as u64);
            }
        }
    }

    #[test]
    fn a_group_has_no_order() {
        let mut tally = Tally::new(2, false);
        assert_eq!([1, 0, 1].map(|sequence| tally.arrive(1, sequence)), [New, Late, Duplicate]);
        assert_eq!((tally.duplicated, tally.out_of_order), (1, 0));
        assert_eq!((tally.received(0), tally.received(1)), (0, 2));
    }
}
