//! Who guesses passwords: how often one was wrong, by address and by user name.
//!
//! Only wrong passwords count, so a thousand clients that come back at once are not in each other's way. A user whose
//! name is being guessed at is still let in from an address from which it has come in before.
//!
//! Everything here is bounded. An attacker with more addresses than there is room for makes older ones be forgotten.

use noctule_auth::Address;
use noctule_session::Instant;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;

/// Wrong passwords of the last minute.
#[derive(Debug)]
pub(super) struct Attempts {
    /// So many in a minute are looked at; 0: all.
    per_minute_max: u32,
    by_address: Windows,
    by_user: Windows,
    /// Users who came in, with the addresses from which they did.
    known: Windows,
    hasher: RandomState,
}

/// Counts by the hash of what is counted.
#[derive(Debug, Default)]
struct Windows(HashMap<u64, Window>);

/// What happened since.
#[derive(Clone, Copy, Debug)]
struct Window {
    since: Instant,
    count: u32,
}

impl Attempts {
    pub(super) fn new(per_minute_max: u32) -> Self {
        Self {
            per_minute_max,
            by_address: Windows::default(),
            by_user: Windows::default(),
            known: Windows::default(),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn set_per_minute_max(&mut self, per_minute_max: u32) {
        self.per_minute_max = per_minute_max;
    }

    /// Whether another password is looked at.
    pub(super) fn allow(&self, address: Address, user_name: &str, now: Instant) -> bool {
        let is_below = |windows: &Windows, key| windows.count(key, now) < self.per_minute_max;
        let is_known = || self.known.0.contains_key(&self.pair(address, user_name));
        self.per_minute_max == 0
            || (is_below(&self.by_address, self.address(address))
                && (is_below(&self.by_user, self.hash(user_name)) || is_known()))
    }

    /// A password was right or wrong.
    pub(super) fn note(&mut self, address: Address, user_name: &str, is_right: bool, now: Instant) {
        let (of_address, of_user) = (self.address(address), self.hash(user_name));
        let pair = self.pair(address, user_name);
        if is_right {
            self.known.add(pair, now);
        } else {
            self.by_address.add(of_address, now);
            self.by_user.add(of_user, now);
        }
    }

    fn address(&self, address: Address) -> u64 {
        match address {
            Address::Ip(ip) => self.hash(network(ip)),
            Address::Unknown => self.hash(0),
            Address::Local => self.hash(1),
        }
    }

    fn pair(&self, address: Address, user_name: &str) -> u64 {
        self.hash((self.address(address), user_name))
    }

    /// Names can be long, so only their hashes are kept; who could choose two with the same hash would have to know
    /// the key.
    fn hash(&self, value: impl Hash) -> u64 {
        self.hasher.hash_one(value)
    }
}

impl Windows {
    fn count(&self, key: u64, now: Instant) -> u32 {
        self.0.get(&key).filter(|window| window.is_open(now)).map_or(0, |window| window.count)
    }

    fn add(&mut self, key: u64, now: Instant) {
        if self.0.len() >= PLACES_MAX && !self.0.contains_key(&key) {
            self.make_room(now);
        }
        let window = self.0.entry(key).or_insert(Window { since: now, count: 0 });
        if !window.is_open(now) {
            *window = Window { since: now, count: 0 };
        }
        window.count = window.count.saturating_add(1);
    }

    fn make_room(&mut self, now: Instant) {
        self.0.retain(|_, window| window.is_open(now));
        if self.0.len() >= PLACES_MAX {
            self.0.clear();
        }
    }
}

impl Window {
    fn is_open(self, now: Instant) -> bool {
        now.millis_since(self.since) < MINUTE_MILLIS
    }
}

/// Who has an IPv6 address has at least 2 to the 64th of them.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) >> 64 << 64).into()),
    }
}

const MINUTE_MILLIS: u64 = 60_000;
/// Addresses, users, and pairs of them that are remembered: each takes about 32 bytes.
const PLACES_MAX: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    fn address(text: &str) -> Address {
        Address::parse(text)
    }

    #[test]
    fn after_so_many_wrong_passwords_an_address_waits_for_the_rest_of_a_minute() {
        let (mut attempts, from) = (Attempts::new(3), address("192.0.2.1"));
        for user in ["a", "b", "c"] {
            assert!(attempts.allow(from, user, at(0)));
            attempts.note(from, user, false, at(0));
        }
        assert!(!attempts.allow(from, "d", at(59)));
        assert!(attempts.allow(address("192.0.2.2"), "d", at(59)), "another address does not");
        assert!(attempts.allow(from, "d", at(60)));
    }

    #[test]
    fn right_passwords_do_not_count() {
        let (mut attempts, from) = (Attempts::new(3), address("192.0.2.1"));
        (0..100).for_each(|_| attempts.note(from, "a", true, at(0)));
        assert!(attempts.allow(from, "a", at(0)));
    }

    #[test]
    fn a_user_who_is_guessed_at_comes_in_from_where_it_came_before() {
        let mut attempts = Attempts::new(3);
        let home = address("192.0.2.1");
        attempts.note(home, "anna", true, at(0));
        for host in 1..=9 {
            attempts.note(address(&format!("198.51.100.{host}")), "anna", false, at(1));
        }
        assert!(attempts.allow(home, "anna", at(2)));
        assert!(!attempts.allow(address("198.51.100.77"), "anna", at(2)));
        assert!(attempts.allow(address("198.51.100.77"), "bert", at(2)));
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let mut attempts = Attempts::new(1);
        attempts.note(address("2001:db8::1"), "a", false, at(0));
        assert!(!attempts.allow(address("2001:db8::2"), "b", at(0)));
        assert!(attempts.allow(address("2001:db8:0:1::2"), "b", at(0)));
    }

    #[test]
    fn zero_is_no_limit_and_what_is_remembered_is_bounded() {
        let mut attempts = Attempts::new(0);
        for number in 0..PLACES_MAX * 3 {
            attempts.note(Address::Local, &number.to_string(), false, at(0));
        }
        assert!(attempts.allow(Address::Local, "1", at(0)));
        assert!(attempts.by_user.0.len() <= PLACES_MAX);
    }
}
