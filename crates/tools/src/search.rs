//! A text that is typed on the lowest line and searched for.

use crate::screen::Key;

/// What is searched for, and whether it is still being typed. Letters match whatever their case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Search {
    text: String,
    is_typed: bool,
}

impl Search {
    /// Begins to take keys, with nothing.
    pub(crate) fn begin(&mut self) {
        *self = Self { text: String::new(), is_typed: true };
    }

    /// Searches for nothing any more.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether it takes the keys.
    pub(crate) fn is_typed(&self) -> bool {
        self.is_typed
    }

    /// Takes a key. Returns whether something else is searched for now.
    pub(crate) fn press(&mut self, key: Key) -> bool {
        match key {
            Key::Enter => self.is_typed = false,
            Key::Escape => self.clear(),
            Key::Backspace => return self.text.pop().is_some(),
            Key::Char(character) if self.text.len() < TEXT_BYTES_MAX => {
                self.text.extend(character.to_lowercase());
                return true;
            }
            _ => {}
        }
        false
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether this has it. Nothing is in everything.
    pub(crate) fn finds(&self, text: &str) -> bool {
        text.to_lowercase().contains(&self.text)
    }

    /// The lowest line, while it is typed or something is searched for.
    pub(crate) fn line(&self) -> Option<String> {
        match (self.is_typed, self.text.is_empty()) {
            (true, _) => Some(format!("/{}_  Enter keeps it, Esc forgets it", self.text)),
            (false, false) => Some(format!("/{}  Esc forgets it", self.text)),
            (false, true) => None,
        }
    }
}

/// Longer than what is searched for in any topic a person types.
const TEXT_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_make_a_text_until_enter() {
        let mut search = Search::default();
        search.begin();
        for key in [Key::Char('T'), Key::Char('e'), Key::Char('x'), Key::Backspace, Key::Char('M')] {
            assert!(search.press(key));
        }
        assert!(search.finds("line1/TEMP") && !search.finds("tex"));
        assert_eq!(search.line().as_deref(), Some("/tem_  Enter keeps it, Esc forgets it"));
        assert!(!search.press(Key::Enter) && !search.is_typed() && !search.is_empty());
        search.begin();
        assert!(!search.press(Key::Escape) && search.is_empty() && search.line().is_none());
    }
}
