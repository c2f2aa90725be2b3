//! Somebody guesses passwords while others work.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use noctule_codec::{ProtocolVersion, ReasonCode};

use crate::peer::Peer;
use crate::support::{Broker, folder, noctule, outcome};

use ProtocolVersion::{V3_1_1, V5};

/// Guesses the password of a user so often, and says how that was refused.
fn guess(address: SocketAddr, version: ProtocolVersion, guesses: usize) -> Vec<ReasonCode> {
    let attempt = |number: usize| {
        let password = format!("guess {number}");
        Peer::connect_as(address, version, "guesser", Some(("anna", &password)))
    };
    (0..guesses).map(|number| attempt(number).err().expect("it is wrong")).collect()
}

#[test]
fn every_round_trip_completes_while_passwords_are_guessed() {
    let folder = folder("guessing");
    assert_eq!(outcome(&mut noctule(&folder, &["passwd", "-b", "users.txt", "anna", "right"])).0, 0);
    let arguments = [
        "--listen",
        "tcp://127.0.0.1:0",
        "--access-users",
        "users.txt",
        "--set",
        "access.attempts_per_minute_max=10",
    ];
    let mut broker = Broker::start(&mut noctule(&folder, &arguments));
    let address = broker.address();
    let mut live = Peer::connect_as(address, V5, "live", Some(("anna", "right"))).expect("it is let in");
    live.subscribe("t");
    let is_over = AtomicBool::new(false);
    let (codes, round_trips) = thread::scope(|scope| {
        let guesser = |version| scope.spawn(move || guess(address, version, 40));
        let guessers: Vec<_> = [V3_1_1, V5, V5, V5].map(guesser).into();
        let traffic = scope.spawn(|| {
            let mut round_trips = 0;
            while !is_over.load(Ordering::Relaxed) {
                live.round_trip("t");
                round_trips += 1;
            }
            round_trips
        });
        let codes = guessers.into_iter().flat_map(|guesser| guesser.join().expect("no panic"));
        let codes: Vec<ReasonCode> = codes.collect();
        is_over.store(true, Ordering::Relaxed);
        (codes, traffic.join().expect("no panic"))
    });
    let count = |is_it: fn(&ReasonCode) -> bool| codes.iter().filter(|code| is_it(code)).count();
    let looked_at = count(|code| *code == ReasonCode::BadUserNameOrPassword);
    // As many may be under way when the last one fails as there are threads that check.
    assert!((10..20).contains(&looked_at), "{looked_at} passwords were looked at");
    let refused =
        count(|code| [ReasonCode::ConnectionRateExceeded, ReasonCode::ServerUnavailable].contains(code));
    assert_eq!(looked_at + refused, codes.len(), "{codes:?}");
    assert!(round_trips > 0, "there was traffic meanwhile");
    live.round_trip("t");
    let again = Peer::connect_as(address, V5, "again", Some(("anna", "right"))).err();
    assert_eq!(again, Some(ReasonCode::ConnectionRateExceeded), "the address has used up its attempts");
    let (_, stderr) = broker.end();
    assert!(!stderr.contains("guess "), "no password is logged");
    assert!(stderr.lines().filter(|line| line.contains("client refused")).count() <= 121, "{stderr}");
}
