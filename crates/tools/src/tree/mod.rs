//! `tree`: topics as a tree, with what was said last on each.
//!
//! `model` is fed with messages; `view` is what a user has folded, found and scrolled to, and draws it; `text` is the
//! same without a terminal. All three are pure.

mod model;
mod text;
mod view;

use crate::ending::Ending;
use crate::interrupts::Interrupts;
use crate::listener::{self, Heard, Listener};
use crate::live;
use crate::screen::Key;
use crate::settings::Settings;
use crate::subscribe::at;
use crate::world::World;
use model::{Keeps, Tree};
use noctule_client::machine::Delivery;
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use std::io::Write as _;
use std::time::Duration;
use tokio::time::Instant;
use view::View;

/// Runs the tool.
pub(crate) async fn run(settings: Settings, world: &mut World) -> Ending {
    let (interrupts, listener) = match begin(&settings, world).await {
        Ok(begun) => begun,
        Err(ending) => return ending,
    };
    if settings.once || settings.json || !world.stdout_is_terminal {
        return once(&settings, listener, interrupts, world).await;
    }
    let deadline = settings.timeout.map(|timeout| Instant::now() + timeout);
    let mut program = Program { tree: Tree::new(Keeps::Beginning), view: View::new(&settings.filters) };
    live::run(&mut program, listener, (interrupts, deadline), world).await
}

async fn begin(settings: &Settings, world: &World) -> Result<(Interrupts, Listener), Ending> {
    let interrupts = Interrupts::new()?;
    Ok((interrupts, Listener::open(settings, world).await?))
}

struct Program {
    tree: Tree,
    view: View,
}

impl live::Program for Program {
    fn hear(&mut self, message: &Delivery, now: Duration) {
        self.tree.hear(message, now);
    }

    /// Ages are drawn anew.
    fn tick(&mut self, _now: Duration) {}

    fn interval(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn press(&mut self, key: Key) -> bool {
        self.view.press(key, &self.tree)
    }

    fn tell(&mut self, what: &str) {
        self.view.tell(what);
    }

    fn draw(&mut self, now: Duration, area: Rect, buffer: &mut Buffer) {
        self.view.draw(&self.tree, now, area, buffer);
    }
}

/// Listens for a while and prints the tree.
async fn once(
    settings: &Settings,
    mut listener: Listener,
    mut interrupts: Interrupts,
    world: &mut World,
) -> Ending {
    let began = Instant::now();
    let mut tree = Tree::new(if settings.json { Keeps::Whole } else { Keeps::Beginning });
    let mut deadline = settings.timeout.map(|timeout| began + timeout);
    let mut is_subscribed = false;
    loop {
        tokio::select! {
            biased;
            () = at(deadline) => match is_subscribed {
                true => break,
                false => return Ending::timed_out(),
            },
            () = interrupts.next() => break,
            heard = listener.next() => match heard {
                Heard::Subscribed { refused } => {
                    listener::warn(&refused, settings, world);
                    is_subscribed = true;
                    deadline.get_or_insert(Instant::now() + LISTENING_TIME);
                }
                Heard::Message(message) => {
                    tree.hear(&message, began.elapsed());
                    listener.acknowledge(message.receipt);
                }
                Heard::Lost => listener::tell_lost(settings, world),
                Heard::Ended(ending) => return ending,
            },
        }
    }
    let out = match settings.json {
        true => text::json_lines(&tree, began.elapsed()),
        false => text::tree(&tree, began.elapsed()),
    };
    let printed = world.stdout.write_all(out.as_bytes()).and_then(|()| world.stdout.flush());
    listener.close().await;
    printed.map_or_else(|error| Ending::unprinted(&error), |()| Ending::done())
}

/// How long it listens where it is not told; what is retained comes within it.
const LISTENING_TIME: Duration = Duration::from_secs(1);
