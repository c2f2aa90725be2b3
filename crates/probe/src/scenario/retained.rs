//! `retained`: as many retained messages as topics, then one subscriber that receives them all, then none.

use super::meter::Meter;
use super::{leave, nothing_measured, open_publishers, open_subscribers};
use crate::Error;
use crate::driver::Driver;
use crate::frames;
use crate::report::Phase;

pub(super) fn run(driver: &mut Driver<'_>) -> Result<Vec<Phase>, Error> {
    if !open_publishers(driver)? {
        return Ok(nothing_measured(driver));
    }
    let published = publish(driver)?;
    let received = receive(driver)?;
    let publishers = driver.traffic.load.publishers as usize;
    leave(driver, publishers)?;
    clear(driver)?;
    Ok(vec![published, received])
}

fn publish(driver: &mut Driver<'_>) -> Result<Phase, Error> {
    let messages = u64::from(driver.options.messages);
    driver.traffic.awaits_delivery = false;
    let meter = Meter::start(driver, "publish")?;
    driver.start_counted_traffic(messages);
    driver.await_sent("publish", messages)?;
    // At QoS 0 the answer to a PINGREQ says that the broker has dealt with everything before it.
    driver.settle()?;
    let sent = meter.sent(driver);
    Ok(meter.stop(driver, sent))
}

fn receive(driver: &mut Driver<'_>) -> Result<Phase, Error> {
    let meter = Meter::start(driver, "receive")?;
    open_subscribers(driver, false)?;
    driver.await_all("receive")?;
    let received = meter.received(driver);
    let mut phase = meter.stop(driver, received);
    // From publication to subscription is the probe's own time.
    phase.latency_us = None;
    driver.settle()?;
    Ok(phase)
}

/// Clears every topic, a few at a time so that little waits to be written.
fn clear(driver: &mut Driver<'_>) -> Result<(), Error> {
    let (topics, version) = (driver.traffic.load.topics, driver.options.version);
    driver.progress.begin("clean up", u64::from(topics));
    let mut cleared = 0;
    while cleared < topics && driver.clients[CLEARER].is_ready() {
        while cleared < topics && driver.clients[CLEARER].connection.output.len() < OUTPUT_BYTES_MAX {
            let topic = driver.traffic.load.topic(cleared);
            driver.send(CLEARER, &frames::clear_retained(version, &topic));
            cleared += 1;
        }
        driver.turn()?;
        driver.progress.set(u64::from(cleared));
    }
    driver.settle()?;
    Ok(())
}

/// The publisher that clears.
const CLEARER: usize = 0;
const OUTPUT_BYTES_MAX: usize = 64 * 1024;
