//! `top`: topics by how much comes on them.
//!
//! `model` counts, interval by interval; `view` is the order, the filter and the picture; `report` is the same without
//! a terminal. All three are pure.

mod model;
mod report;
mod view;

use crate::ending::Ending;
use crate::interrupts::Interrupts;
use crate::listener::{self, Heard, Listener};
use crate::live;
use crate::screen::Key;
use crate::settings::Settings;
use crate::subscribe::{at, tick};
use crate::world::World;
use model::Counts;
pub(crate) use model::SortKey;
use noctule_client::machine::Delivery;
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use std::io::Write as _;
use std::time::Duration;
use tokio::time::{Instant, Interval, interval_at};
use view::View;

/// Runs the tool.
pub(crate) async fn run(settings: Settings, world: &mut World) -> Ending {
    let interrupts = match Interrupts::new() {
        Ok(interrupts) => interrupts,
        Err(ending) => return ending,
    };
    let listener = match Listener::open(&settings, world).await {
        Ok(listener) => listener,
        Err(ending) => return ending,
    };
    if settings.json || !world.stdout_is_terminal {
        return report(&settings, listener, interrupts, world).await;
    }
    let deadline = settings.timeout.map(|timeout| Instant::now() + timeout);
    let view = View::new(&settings.filters, settings.sort);
    let mut program = Program { counts: Counts::new(), view, interval: settings.interval };
    live::run(&mut program, listener, (interrupts, deadline), world).await
}

struct Program {
    counts: Counts,
    view: View,
    interval: Duration,
}

impl live::Program for Program {
    fn hear(&mut self, message: &Delivery, now: Duration) {
        self.counts.hear(message, now);
    }

    fn tick(&mut self, now: Duration) {
        self.counts.end_interval(now);
        self.view.refresh(&self.counts);
    }

    fn interval(&self) -> Duration {
        self.interval
    }

    fn press(&mut self, key: Key) -> bool {
        self.view.press(key, &self.counts)
    }

    fn tell(&mut self, what: &str) {
        self.view.tell(what);
    }

    fn draw(&mut self, now: Duration, area: Rect, buffer: &mut Buffer) {
        self.view.draw(now, area, buffer);
    }
}

/// Prints a report at the end of each interval.
async fn report(
    settings: &Settings,
    mut listener: Listener,
    mut interrupts: Interrupts,
    world: &mut World,
) -> Ending {
    let began = Instant::now();
    let deadline = settings.timeout.map(|timeout| began + timeout);
    let mut counts = Counts::new();
    // The first interval begins when messages can come.
    let mut ticks: Option<Interval> = None;
    let mut reports = 0;
    loop {
        tokio::select! {
            biased;
            () = at(deadline) => match ticks {
                Some(_) => break,
                None => return Ending::timed_out(),
            },
            () = interrupts.next() => break,
            () = tick(&mut ticks) => {
                let now = began.elapsed();
                counts.end_interval(now);
                let moment = (world.now)();
                let out = match settings.json {
                    true => report::json_line(&counts, settings.sort, now, &moment),
                    false => report::table(&counts, settings.sort, now, &moment),
                };
                if let Err(error) = world.stdout.write_all(out.as_bytes()).and_then(|()| world.stdout.flush()) {
                    listener.close().await;
                    return Ending::unprinted(&error);
                }
                reports += 1;
                if settings.count == Some(reports) {
                    break;
                }
            }
            heard = listener.next() => match heard {
                Heard::Message(message) => {
                    counts.hear(&message, began.elapsed());
                    listener.acknowledge(message.receipt);
                }
                Heard::Subscribed { refused } => {
                    ticks.get_or_insert_with(|| {
                        counts.end_interval(began.elapsed());
                        interval_at(Instant::now() + settings.interval, settings.interval)
                    });
                    listener::warn(&refused, settings, world);
                }
                Heard::Lost => listener::tell_lost(settings, world),
                Heard::Ended(ending) => return ending,
            },
        }
    }
    listener.close().await;
    Ending::done()
}
