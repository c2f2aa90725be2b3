//! `connections`: opened, held in silence and weighed.

use super::meter::Meter;
use super::{open_subscribers, run_for};
use crate::Error;
use crate::driver::Driver;
use crate::report::Phase;

pub(super) fn run(driver: &mut Driver<'_>) -> Result<Vec<Phase>, Error> {
    let meter = Meter::start(driver, "open")?;
    open_subscribers(driver, false)?;
    let open = driver.open_count as u64;
    let opened = meter.stop(driver, open);

    let meter = Meter::start(driver, "hold")?;
    run_for(driver, "hold", driver.options.duration)?;
    let held = driver.open_count as u64;
    let phases = vec![opened, meter.stop(driver, held)];
    driver.settle()?;
    Ok(phases)
}
