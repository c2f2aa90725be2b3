//! `queue`: sessions that are away get a queue each, then come back for it.

use super::meter::Meter;
use super::{leave, nothing_measured, open_publishers, open_subscribers};
use crate::Error;
use crate::client::Role;
use crate::driver::{Driver, Guest};
use crate::report::Phase;

pub(super) fn run(driver: &mut Driver<'_>) -> Result<Vec<Phase>, Error> {
    if !(open_publishers(driver)? && open_subscribers(driver, true)?) {
        return Ok(nothing_measured(driver));
    }
    let publishers = driver.traffic.load.publishers as usize;
    leave(driver, publishers)?;
    let phases = vec![fill(driver)?, drain(driver)?];
    discard_sessions(driver)?;
    Ok(phases)
}

fn fill(driver: &mut Driver<'_>) -> Result<Phase, Error> {
    let messages = u64::from(driver.options.messages);
    driver.traffic.awaits_delivery = false;
    let meter = Meter::start(driver, "fill")?;
    driver.start_counted_traffic(messages);
    driver.await_sent("fill", messages)?;
    let sent = meter.sent(driver);
    Ok(meter.stop(driver, sent))
}

fn drain(driver: &mut Driver<'_>) -> Result<Phase, Error> {
    let load = driver.traffic.load.clone();
    let meter = Meter::start(driver, "drain")?;
    let first = driver.clients.len();
    let guest = |number| Guest {
        role: Role::Subscriber(number as u32),
        client_id: load.client_id('s', number),
        filters: Vec::new(),
        is_durable: true,
    };
    driver.open("come back", u64::from(load.subscribers), guest)?;
    driver.await_all("drain")?;
    let received = meter.received(driver);
    let mut phase = meter.stop(driver, received);
    // From publication to the return of the client is the probe's own time.
    phase.latency_us = None;
    driver.settle()?;
    note_lost_sessions(driver, first);
    Ok(phase)
}

/// 3.1 does not say whether a session was there.
fn note_lost_sessions(driver: &mut Driver<'_>, first: usize) {
    let is_said = driver.options.version != noctule_codec::ProtocolVersion::V3_1;
    let back = driver.clients[first..].iter().filter(|client| client.is_ready());
    let without = back.filter(|client| !client.session_present).count();
    for _ in 0..if is_said { without } else { 0 } {
        driver.incidents.violate("had no session any more for a client that came back".to_owned());
    }
}

/// Takes each session over with a clean start, which ends it.
pub(super) fn discard_sessions(driver: &mut Driver<'_>) -> Result<(), Error> {
    let load = driver.traffic.load.clone();
    leave(driver, load.publishers as usize)?;
    let guest = |number| Guest {
        role: Role::Idle,
        client_id: load.client_id('s', number),
        filters: Vec::new(),
        is_durable: false,
    };
    driver.open("clean up", u64::from(load.subscribers), guest)?;
    Ok(())
}
