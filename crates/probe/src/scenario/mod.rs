//! The scenarios: which phases a run has, in order.
//!
//! Each scenario opens what it needs, measures its phases and leaves the broker as it was: sessions that would outlive
//! the run are discarded, retained messages cleared.

mod connect_rate;
mod connections;
mod meter;
mod queue;
mod retained;
mod steady;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use noctule_transport::raise_open_file_limit;

use crate::client::Role;
use crate::driver::{Driver, Guest, nanoseconds};
use crate::frames::PublishShape;
use crate::load::{Filter, Load, Spread};
use crate::pace::{Pace, Schedule};
use crate::report::{Phase, Report};
use crate::traffic::Traffic;
use crate::{Error, Options, Scenario};

/// Runs a scenario and reports what happened. Blocks until it is over, and shows a progress bar on standard error if
/// that is a terminal.
///
/// # Errors
/// See [`Error`]. Losses and refusals are no errors but in the report.
pub fn run(options: &Options) -> Result<Report, Error> {
    options.check()?;
    check_open_files(options)?;
    let mut driver = Driver::new(options, traffic(options))?;
    let phases = match options.scenario {
        Scenario::P2p | Scenario::FanOut | Scenario::FanIn | Scenario::Shared => steady::run(&mut driver)?,
        Scenario::Wildcard => steady::run_through_filters(&mut driver)?,
        Scenario::Connections => connections::run(&mut driver)?,
        Scenario::ConnectRate => connect_rate::run(&mut driver)?,
        Scenario::Retained => retained::run(&mut driver)?,
        Scenario::Queue => queue::run(&mut driver)?,
    };
    let report = Report::new(&driver, phases);
    driver.close();
    Ok(report)
}

fn traffic(options: &Options) -> Traffic {
    let shape = PublishShape {
        version: options.version,
        qos: options.qos,
        retain: options.scenario == Scenario::Retained,
        payload_bytes: options.payload_bytes,
    };
    let pace = match options.rate {
        // It begins anew when the connections are there.
        Some(rate) => Pace::Open(Schedule { start: 0, rate, burst: u64::from(options.burst) }),
        None => Pace::Closed { window: u32::from(options.window) },
    };
    Traffic::new(load(options), shape, pace)
}

fn load(options: &Options) -> Load {
    let (spread, filter) = match options.scenario {
        Scenario::FanOut | Scenario::FanIn => (Spread::Everybody, Filter::Exact),
        Scenario::Shared => (Spread::OneOfGroup, Filter::Shared),
        Scenario::Retained => (Spread::Everybody, Filter::Run),
        Scenario::Wildcard => (Spread::Pairs, Filter::LastLevel),
        _ => (Spread::Pairs, Filter::Exact),
    };
    let (publishers, subscribers, topics) = match options.scenario {
        // Every connection has a topic that nobody publishes to.
        Scenario::Connections => (0, options.connections, options.topics()),
        Scenario::ConnectRate => (0, 0, 1),
        _ => (options.publishers, options.subscribers, options.topics()),
    };
    Load {
        publishers,
        subscribers,
        topics,
        spread,
        filter,
        run: run_number(),
        homes_apart: options.homes_apart,
    }
}

/// Tells runs apart, also those that were begun at once.
pub(crate) fn run_number() -> u32 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (nanoseconds(since_epoch) >> 10) as u32 ^ std::process::id().rotate_left(16)
}

fn check_open_files(options: &Options) -> Result<(), Error> {
    let connections = match options.scenario {
        Scenario::Connections => u64::from(options.connections),
        Scenario::ConnectRate => u64::from(options.window),
        Scenario::Wildcard => {
            let holders = steady::holders(options.filters);
            u64::from(options.publishers) + u64::from(options.subscribers) + holders
        }
        _ => u64::from(options.publishers) + u64::from(options.subscribers),
    };
    let (needed, limit) = (connections + FILES_BESIDES, raise_open_file_limit().soft);
    if needed > limit { Err(Error::OpenFiles { needed, limit }) } else { Ok(()) }
}

/// Connects the publishers; they come first.
fn open_publishers(driver: &mut Driver<'_>) -> Result<bool, Error> {
    let load = driver.traffic.load.clone();
    let guest = |number| Guest {
        role: Role::Publisher(number as u32),
        client_id: load.client_id('p', number),
        filters: Vec::new(),
        is_durable: false,
    };
    driver.open("connect", u64::from(load.publishers), guest)
}

/// Connects the subscribers with their subscriptions.
fn open_subscribers(driver: &mut Driver<'_>, is_durable: bool) -> Result<bool, Error> {
    let load = driver.traffic.load.clone();
    let guest = |number| Guest {
        role: Role::Subscriber(number as u32),
        client_id: load.client_id('s', number),
        filters: load.filters(number as u32),
        is_durable,
    };
    driver.open("subscribe", u64::from(load.subscribers), guest)
}

/// Lets the loop run for this long.
fn run_for(driver: &mut Driver<'_>, what: &str, duration: Duration) -> Result<(), Error> {
    let begun = driver.now();
    let elapsed = move |driver: &Driver<'_>| nanoseconds(driver.now() - begun);
    driver.run_until(what, nanoseconds(duration), None, elapsed)?;
    Ok(())
}

/// Lets all clients from this place on leave, and waits until the broker has closed their connections.
fn leave(driver: &mut Driver<'_>, first: usize) -> Result<(), Error> {
    let places = first..driver.clients.len();
    places.clone().for_each(|client| driver.leave(client));
    let patience = Some(driver.options.patience);
    let total = places.len() as u64;
    driver.run_until("leave", total, patience, move |driver| {
        driver.clients[places.clone()].iter().filter(|client| client.is_ended()).count() as u64
    })?;
    driver.happenings.clear();
    Ok(())
}

/// Waits for what is still under way, and for what the broker may have sent too much.
fn drain(driver: &mut Driver<'_>) -> Result<(), Error> {
    driver.traffic.stop();
    driver.await_all("drain")?;
    driver.settle()?;
    Ok(())
}

/// Nothing was measured because not everybody came in; the incidents say why.
fn nothing_measured(driver: &mut Driver<'_>) -> Vec<Phase> {
    driver.incidents.note("nothing was measured, because not every client was served".to_owned());
    Vec::new()
}

/// Files a process needs besides its sockets: streams, the poll, what `/proc` is read through.
const FILES_BESIDES: u64 = 16;
