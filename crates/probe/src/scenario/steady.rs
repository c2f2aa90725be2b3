//! Messages for a time: `p2p`, `fan-out`, `fan-in`, `shared`, and `wildcard`, which is p2p through filters.

use super::meter::Meter;
use super::queue::discard_sessions;
use super::{drain, nothing_measured, open_publishers, open_subscribers, run_for};
use crate::Error;
use crate::client::Role;
use crate::driver::{Driver, Guest};
use crate::report::Phase;

pub(super) fn run(driver: &mut Driver<'_>) -> Result<Vec<Phase>, Error> {
    let is_durable = driver.options.durable;
    if !(open_publishers(driver)? && open_subscribers(driver, is_durable)?) {
        return Ok(nothing_measured(driver));
    }
    let phase = traffic(driver)?;
    if is_durable {
        discard_sessions(driver)?;
    }
    Ok(vec![phase])
}

pub(super) fn run_through_filters(driver: &mut Driver<'_>) -> Result<Vec<Phase>, Error> {
    if !(open_publishers(driver)? && open_subscribers(driver, false)?) {
        return Ok(nothing_measured(driver));
    }
    let filters = u64::from(driver.options.filters);
    let meter = Meter::start(driver, "subscribe")?;
    if !open_holders(driver)? {
        return Ok(nothing_measured(driver));
    }
    let subscribe = meter.stop(driver, filters);
    Ok(vec![subscribe, traffic(driver)?])
}

/// How many connections hold this many filters.
pub(super) fn holders(filters: u32) -> u64 {
    u64::from(filters.div_ceil(FILTERS_PER_HOLDER))
}

fn open_holders(driver: &mut Driver<'_>) -> Result<bool, Error> {
    let (load, filters) = (driver.traffic.load.clone(), driver.options.filters);
    let guest = |number: u64| {
        let first = number as u32 * FILTERS_PER_HOLDER;
        let numbers = first..filters.min(first.saturating_add(FILTERS_PER_HOLDER));
        Guest {
            role: Role::Idle,
            client_id: load.client_id('f', number),
            filters: numbers.map(|number| load.bystander(number.into())).collect(),
            is_durable: false,
        }
    };
    driver.open("filters", holders(filters), guest)
}

fn traffic(driver: &mut Driver<'_>) -> Result<Phase, Error> {
    driver.start_traffic();
    run_for(driver, "warm-up", driver.options.warm_up)?;
    let meter = Meter::start(driver, "traffic")?;
    run_for(driver, "traffic", driver.options.duration)?;
    let received = meter.received(driver);
    let phase = meter.stop(driver, received);
    drain(driver)?;
    Ok(phase)
}

/// Brokers bound the filters of one session; fewer than any bound we know of.
const FILTERS_PER_HOLDER: u32 = 5_000;
