//! A program on a terminal that shows what comes: messages, keys and time in, pictures out.

use crate::ending::Ending;
use crate::interrupts::Interrupts;
use crate::listener::{Heard, Listener};
use crate::screen::{Input, Key, Screen, inputs};
use crate::subscribe::at;
use crate::world::World;
use noctule_client::machine::Delivery;
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use std::io;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// What such a program does. Times count from its beginning; it reads no clock.
pub(crate) trait Program {
    /// A message came.
    fn hear(&mut self, message: &Delivery, now: Duration);
    /// So much time has passed as [`interval`](Self::interval) says.
    fn tick(&mut self, now: Duration);
    /// How often time is told.
    fn interval(&self) -> Duration;
    /// A key was pressed. Returns whether it goes on.
    fn press(&mut self, key: Key) -> bool;
    /// Something about the connection that the user should know; nothing takes it back.
    fn tell(&mut self, what: &str);
    /// Draws everything.
    fn draw(&mut self, now: Duration, area: Rect, buffer: &mut Buffer);
}

/// Shows the program until the user, a signal or the server ends it.
pub(crate) async fn run(
    program: &mut impl Program,
    mut listener: Listener,
    (mut interrupts, deadline): (Interrupts, Option<Instant>),
    world: &World,
) -> Ending {
    let unusable = |error: &io::Error| Ending::failed(&format!("the terminal cannot be used: {error}"));
    let mut screen = match Screen::open(world.stdout.clone()) {
        Ok(screen) => screen,
        Err(error) => return unusable(&error),
    };
    let began = Instant::now();
    let mut inputs = inputs();
    let mut ticks = interval_at(began + program.interval(), program.interval());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut draw_at = Some(began);
    let mut drawn = began;
    let ending = loop {
        tokio::select! {
            biased;
            () = interrupts.next() => break Ending::done(),
            () = at(deadline) => break Ending::done(),
            input = inputs.recv() => match input {
                Some(Input::Key(Key::Suspend)) => match screen.suspend() {
                    Ok(()) => draw_at = Some(Instant::now()),
                    Err(error) => break unusable(&error),
                },
                Some(Input::Key(key)) if !program.press(key) => break Ending::done(),
                Some(_) => draw_at = Some(Instant::now()),
                // Nobody can press a key any more.
                None => break Ending::done(),
            },
            () = at(draw_at) => {
                (drawn, draw_at) = (Instant::now(), None);
                let picture = |area, buffer: &mut Buffer| program.draw(began.elapsed(), area, buffer);
                if let Err(error) = screen.draw(picture) {
                    break unusable(&error);
                }
            }
            _ = ticks.tick() => {
                program.tick(began.elapsed());
                draw_at = draw_at.or(Some(Instant::now()));
            }
            heard = listener.next() => {
                match heard {
                    Heard::Message(message) => {
                        program.hear(&message, began.elapsed());
                        listener.acknowledge(message.receipt);
                    }
                    Heard::Subscribed { refused } if refused.is_empty() => program.tell(""),
                    Heard::Subscribed { refused } => program.tell(&format!("not subscribed to {}", refused.join(", "))),
                    Heard::Lost => program.tell("connection lost, trying again"),
                    Heard::Ended(ending) => break ending,
                }
                // Many messages are one picture.
                draw_at = draw_at.or(Some(drawn + DRAW_INTERVAL));
            }
        }
    };
    // What is said at the end stands on the terminal that the user had.
    drop(screen);
    listener.close().await;
    ending
}

/// Pictures follow one another no faster, but for keys.
const DRAW_INTERVAL: Duration = Duration::from_millis(50);
