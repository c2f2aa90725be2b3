//! `connect-rate`: a fixed number of clients, each of which connects, disconnects, waits until the broker has closed
//! the connection, and begins again.
//!
//! The broker closes first, so that it is the broker who remembers the connection for a minute and the probe's ports
//! are free at once. With `--reconnect` every client takes up a session that is still there.

use std::time::Duration;

use super::meter::Meter;
use super::{leave, nothing_measured};
use crate::Error;
use crate::client::{Client, Role};
use crate::driver::{Driver, Guest, Happening, nanoseconds};
use crate::report::Phase;

pub(super) fn run(driver: &mut Driver<'_>) -> Result<Vec<Phase>, Error> {
    let clients = usize::from(driver.options.window);
    for client in 0..clients {
        let guest = guest(driver, client);
        driver.dial(client, guest)?;
    }
    turn_for(driver, "warm-up", driver.options.warm_up)?;
    let meter = Meter::start(driver, "connect")?;
    let connects = turn_for(driver, "connect", driver.options.duration)?;
    let phase = meter.stop(driver, connects);
    if connects == 0 {
        return Ok(nothing_measured(driver));
    }
    finish(driver)?;
    if driver.options.reconnect {
        discard_sessions(driver, clients)?;
    }
    Ok(vec![phase])
}

/// Goes round for this long; returns how many connections were made.
fn turn_for(driver: &mut Driver<'_>, what: &str, duration: Duration) -> Result<u64, Error> {
    let begun = driver.now();
    driver.progress.begin(what, nanoseconds(duration));
    let mut connects = 0;
    while driver.now() < begun + duration && driver.open_count > 0 {
        driver.turn()?;
        for happening in std::mem::take(&mut driver.happenings) {
            match happening {
                Happening::Ready { client, at } => {
                    let latency = at.saturating_sub(driver.clients[client].dialled_at);
                    driver.traffic.latencies.record(nanoseconds(latency));
                    connects += 1;
                    driver.leave(client);
                }
                Happening::Left { client } => {
                    let guest = guest(driver, client);
                    driver.dial(client, guest)?;
                }
                // Its place stays empty; a broker that refuses everybody ends the run.
                Happening::Failed => {}
            }
        }
        driver.progress.set(nanoseconds(driver.now() - begun));
    }
    Ok(connects)
}

/// Lets those go that are still on their way in or out.
fn finish(driver: &mut Driver<'_>) -> Result<(), Error> {
    let patience = Some(driver.options.patience);
    driver.run_until("leave", 1, patience, |driver| {
        u64::from(!driver.clients.iter().any(Client::is_in_handshake))
    })?;
    leave(driver, 0)
}

fn guest(driver: &Driver<'_>, client: usize) -> Guest {
    Guest {
        role: Role::Idle,
        client_id: driver.traffic.load.client_id('c', client as u64),
        filters: Vec::new(),
        is_durable: driver.options.reconnect,
    }
}

/// Connects once more with a clean start, which ends the sessions.
fn discard_sessions(driver: &mut Driver<'_>, clients: usize) -> Result<(), Error> {
    let load = driver.traffic.load.clone();
    let guest = |number| Guest {
        role: Role::Idle,
        client_id: load.client_id('c', number),
        filters: Vec::new(),
        is_durable: false,
    };
    driver.open("clean up", clients as u64, guest)?;
    Ok(())
}
