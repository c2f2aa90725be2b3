//! The terminal: what is drawn on it, and the keys that are pressed.
//!
//! Programs draw whole pictures into a [`Buffer`]; here only what has changed is written. When the screen is dropped,
//! also by a panic, the terminal is as it was.

use crate::world::Output;
use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::style::{Attribute, Print, SetAttribute};
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use crossterm::{execute, queue};
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::Modifier;
use rustix::process::{Signal, getpid, kill_process};
use std::io::{self, Write as _};
use tokio::sync::mpsc;

/// A terminal that is drawn on.
pub(crate) struct Screen {
    out: Output,
    /// What stands on it.
    shown: Buffer,
}

/// What a user does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Key(Key),
    /// The terminal has another size.
    Resized,
}

/// A key, whatever the terminal sends for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Escape,
    Backspace,
    Char(char),
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-Z.
    Suspend,
}

impl Screen {
    /// Takes the terminal.
    pub(crate) fn open(out: Output) -> io::Result<Self> {
        let mut screen = Self { out, shown: Buffer::empty(Rect::ZERO) };
        // Dropping it gives the terminal back, whatever has come of this.
        screen.take()?;
        Ok(screen)
    }

    /// Gives the terminal back and stops the process; takes the terminal again when the process goes on.
    pub(crate) fn suspend(&mut self) -> io::Result<()> {
        self.give_back();
        kill_process(getpid(), Signal::TSTP)?;
        self.take()
    }

    /// Shows the picture that `draw` makes, in the size that the terminal has now.
    pub(crate) fn draw(&mut self, draw: impl FnOnce(Rect, &mut Buffer)) -> io::Result<()> {
        let (width, height) = size()?;
        let area = Rect::new(0, 0, width, height);
        if self.shown.area != area {
            self.shown = Buffer::empty(area);
            queue!(self.out, SetAttribute(Attribute::Reset), Clear(ClearType::All))?;
        }
        let mut next = Buffer::empty(area);
        draw(area, &mut next);
        write(&self.shown, &next, &mut self.out)?;
        self.shown = next;
        self.out.flush()
    }
}

impl Screen {
    /// What stands on it now is not known.
    fn take(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        self.shown = Buffer::empty(Rect::ZERO);
        execute!(self.out, EnterAlternateScreen, Hide)
    }

    /// A terminal that has gone needs nothing back.
    fn give_back(&mut self) {
        let _ = execute!(self.out, SetAttribute(Attribute::Reset), Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Writes what differs.
fn write(before: &Buffer, after: &Buffer, out: &mut Output) -> io::Result<()> {
    let mut place = None;
    let mut modifier = Modifier::empty();
    queue!(out, SetAttribute(Attribute::Reset))?;
    for (x, y, cell) in before.diff(after) {
        if place != Some((x, y)) {
            queue!(out, MoveTo(x, y))?;
        }
        if cell.modifier != modifier {
            modifier = cell.modifier;
            queue!(out, SetAttribute(Attribute::Reset))?;
            for attribute in attributes(modifier) {
                queue!(out, SetAttribute(attribute))?;
            }
        }
        queue!(out, Print(cell.symbol()))?;
        // A wide character moves the cursor by more than one; its place is said anew then.
        place = (cell.symbol().len() == 1).then_some((x + 1, y));
    }
    queue!(out, SetAttribute(Attribute::Reset))
}

/// The programs here tell things apart by these alone, which every terminal has.
fn attributes(modifier: Modifier) -> impl Iterator<Item = Attribute> {
    let all = [
        (Modifier::BOLD, Attribute::Bold),
        (Modifier::DIM, Attribute::Dim),
        (Modifier::REVERSED, Attribute::Reverse),
        (Modifier::UNDERLINED, Attribute::Underlined),
    ];
    all.into_iter().filter(move |(one, _)| modifier.contains(*one)).map(|(_, attribute)| attribute)
}

/// What the user does, from a thread that waits for it until the program ends.
pub(crate) fn inputs() -> mpsc::Receiver<Input> {
    let (sender, receiver) = mpsc::channel(INPUTS_AHEAD);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            let Some(input) = input(&event) else { continue };
            if sender.blocking_send(input).is_err() {
                return;
            }
        }
    });
    receiver
}

fn input(event: &Event) -> Option<Input> {
    match event {
        Event::Resize(..) => Some(Input::Resized),
        Event::Key(key) if key.kind != KeyEventKind::Release => self::key(key).map(Input::Key),
        _ => None,
    }
}

fn key(event: &KeyEvent) -> Option<Key> {
    let is_control = event.modifiers.contains(KeyModifiers::CONTROL);
    Some(match event.code {
        KeyCode::Char('c') if is_control => Key::Interrupt,
        KeyCode::Char('z') if is_control => Key::Suspend,
        KeyCode::Char(_) if is_control => return None,
        KeyCode::Char(character) => Key::Char(character),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        _ => return None,
    })
}

/// Keys that are pressed faster than they are worked off.
const INPUTS_AHEAD: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui_core::style::Style;

    #[test]
    fn only_what_differs_is_written() {
        let written = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut out = Output::new(Sink(std::sync::Arc::clone(&written)));
        let before = Buffer::with_lines(["abc", "def"]);
        let mut after = Buffer::with_lines(["abc", "dxf"]);
        after.set_style(Rect::new(1, 1, 1, 1), Style::new().add_modifier(Modifier::BOLD));
        write(&before, &after, &mut out).expect("a vector takes everything");
        let written = String::from_utf8(written.lock().expect("no panic").clone()).expect("UTF-8");
        assert_eq!(written, "\x1B[0m\x1B[2;2H\x1B[0m\x1B[1mx\x1B[0m");
    }

    struct Sink(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn keys_have_names() {
        let press = |code, modifiers| input(&Event::Key(KeyEvent::new(code, modifiers)));
        assert_eq!(press(KeyCode::Char('q'), KeyModifiers::NONE), Some(Input::Key(Key::Char('q'))));
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Input::Key(Key::Interrupt)));
        assert_eq!(press(KeyCode::Char('z'), KeyModifiers::CONTROL), Some(Input::Key(Key::Suspend)));
        assert_eq!(press(KeyCode::Char('x'), KeyModifiers::CONTROL), None);
        assert_eq!(press(KeyCode::F(1), KeyModifiers::NONE), None);
        assert_eq!(input(&Event::Resize(1, 1)), Some(Input::Resized));
    }
}
