//! Clients whose kernel holds back what they write until ours has acknowledged what they wrote before.
//!
//! Kernels do so unless told otherwise (Nagle's algorithm), and ours acknowledges with the next bytes that it sends, or
//! after 40 ms. PUBACK has no answer that could carry the acknowledgement, so a client that answers a delivery and then
//! publishes waits 40 ms for nothing, as in every request and response at QoS 1 or 2. paho-mqtt for Python is such a
//! client: a request and its response took 43 ms.
//!
//! Such clients are known by their pauses, which are as long as our kernel's. From then on it is told to acknowledge
//! at once what they send, at the price of a system call. A client that happens to send at this pace is taken for one
//! of them, which does no harm.

use noctule_session::Instant;

/// What is known of the pauses of one client: when it was last heard, in milliseconds, and in the two lowest bits how
/// many pauses it has made. Each connection has one, so it is a single word.
#[derive(Debug, Default)]
pub(crate) struct Pauses(u64);

impl Pauses {
    /// Something has come. Says whether the client waits until it is acknowledged.
    pub(crate) fn hear(&mut self, now: Instant) -> bool {
        let (heard_at, seen) = (self.0 >> SEEN_BITS, self.0 & SEEN_ENOUGH);
        let pause = now.as_millis().saturating_sub(heard_at);
        let is_one_more = seen < SEEN_ENOUGH && (SHORTEST_MILLIS..=LONGEST_MILLIS).contains(&pause);
        let seen = seen + u64::from(is_one_more);
        self.0 = now.as_millis() << SEEN_BITS | seen;
        seen == SEEN_ENOUGH
    }
}

/// Linux acknowledges after 40 ms, counted in ticks that may be 4 ms long; our clock is read once in a turn.
const SHORTEST_MILLIS: u64 = 38;
/// What is held back comes when the acknowledgement has arrived, and has to come back: a way of 20 ms is allowed for.
const LONGEST_MILLIS: u64 = 65;
/// A client says something after such a pause by chance, but seldom so often. It is all that the bits can hold.
const SEEN_ENOUGH: u64 = (1 << SEEN_BITS) - 1;
const SEEN_BITS: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of each of these times, in milliseconds.
    fn heard_at(times: impl IntoIterator<Item = u64>) -> Vec<bool> {
        let mut pauses = Pauses::default();
        times.into_iter().map(|millis| pauses.hear(Instant::from_millis(millis))).collect()
    }

    #[test]
    fn a_client_that_waits_for_the_kernel_is_known_by_its_pauses() {
        assert_eq!(heard_at([1000, 1040, 1080, 1121]), [false, false, false, true]);
        // Between its pauses it sends what need not wait.
        assert_eq!(heard_at([1000, 1041, 1041, 1082, 1083, 1124]).last(), Some(&true));
    }

    #[test]
    fn it_stays_known_when_it_need_not_wait_any_more() {
        assert_eq!(heard_at([0, 40, 80, 120, 121, 122, 9000])[3..], [true; 4]);
    }

    #[test]
    fn other_clients_are_let_alone() {
        for pause in [0, 1, 10, 37, 66, 100, 1000] {
            let heard = heard_at((1..100).map(|count| 1000 + count * pause));
            assert!(!heard.contains(&true), "{pause} ms");
        }
    }
}
