//! What a shard counts. Counters only grow; gauges say how it is now.

use noctule_session::DropReason;

/// The counters of one shard. They are added up over shards when somebody reads them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each name says what it counts")]
pub struct Stats {
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub packets_received: u64,
    pub packets_sent: u64,
    pub publishes_received: u64,
    pub publishes_sent: u64,
    pub publish_bytes_received: u64,
    pub connects: u64,
    /// Clients that waited for their turn because too many came at once.
    pub connects_delayed: u64,
    pub takeovers: u64,
    pub takeovers_delayed: u64,
    /// How often a client was not read because it was over its rates.
    pub pauses: u64,
    pub refused: u64,
    pub sessions_expired: u64,
    /// Publications whose route was kept, and those whose route was searched for.
    pub route_hits: u64,
    pub route_misses: u64,
    /// Gauge: clients connected.
    pub clients_connected: u64,
    /// Gauge: sessions, connected or not.
    pub sessions: u64,
    /// Gauge: subscriptions, shared ones included.
    pub subscriptions: u64,
    /// Gauge: shared subscriptions.
    pub shared_subscriptions: u64,
    /// Messages not delivered, by reason in the order of [`DropReason::ALL`].
    pub drops: [u64; DropReason::ALL.len()],
}

impl Stats {
    /// Adds the counters of another shard.
    pub fn add(&mut self, other: &Self) {
        self.bytes_received += other.bytes_received;
        self.bytes_sent += other.bytes_sent;
        self.packets_received += other.packets_received;
        self.packets_sent += other.packets_sent;
        self.publishes_received += other.publishes_received;
        self.publishes_sent += other.publishes_sent;
        self.publish_bytes_received += other.publish_bytes_received;
        self.connects += other.connects;
        self.connects_delayed += other.connects_delayed;
        self.takeovers += other.takeovers;
        self.takeovers_delayed += other.takeovers_delayed;
        self.pauses += other.pauses;
        self.refused += other.refused;
        self.sessions_expired += other.sessions_expired;
        self.route_hits += other.route_hits;
        self.route_misses += other.route_misses;
        self.clients_connected += other.clients_connected;
        self.sessions += other.sessions;
        self.subscriptions += other.subscriptions;
        self.shared_subscriptions += other.shared_subscriptions;
        for (sum, drops) in self.drops.iter_mut().zip(other.drops) {
            *sum += drops;
        }
    }

    /// All messages not delivered.
    pub fn drops_total(&self) -> u64 {
        self.drops.iter().sum()
    }

    pub(crate) fn count_drop(&mut self, reason: DropReason) {
        self.drops[reason as usize] += 1;
    }
}
