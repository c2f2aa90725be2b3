//! Parts of pictures that programs on a terminal have in common.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::Style;
use ratatui_core::text::Span;

/// A headline, the lines, and the line for keys. A screen with few lines has the lines.
pub(crate) fn parts(area: Rect) -> [Rect; 3] {
    let head = u16::from(area.height > 1);
    let foot = u16::from(area.height > 2);
    let body = Rect { y: area.y + head, height: area.height - head - foot, ..area };
    [Rect { height: head, ..area }, body, Rect { y: body.bottom(), height: foot, ..area }]
}

/// Writes a line over the whole width, cut where it does not fit.
pub(crate) fn put(buffer: &mut Buffer, area: Rect, text: &str, style: Style) {
    if area.height > 0 {
        buffer.set_stringn(area.x, area.y, text, area.width.into(), style);
        buffer.set_style(area, style);
    }
}

/// The columns that a text takes.
pub(crate) fn width_of(text: &str) -> usize {
    Span::raw(text).width()
}

/// A text in exactly so many columns, cut or filled.
pub(crate) fn fitted(text: &str, width: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    for character in text.chars() {
        let more = width_of(character.encode_utf8(&mut [0; 4]));
        if used + more > width {
            break;
        }
        out.push(character);
        used += more;
    }
    out.extend(std::iter::repeat_n(' ', width - used));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_fit_their_columns() {
        for (text, width, fit) in [
            ("abc", 5, "abc  "),
            ("abc", 2, "ab"),
            ("日本", 3, "日 "),
            ("日本", 4, "日本"),
            ("", 2, "  "),
            ("é", 0, ""),
        ] {
            assert_eq!(fitted(text, width), fit, "{text} {width}");
        }
    }

    #[test]
    fn a_small_screen_has_the_lines() {
        let heights = |height| parts(Rect::new(0, 0, 9, height)).map(|part| part.height);
        assert_eq!([1, 2, 3, 10].map(heights), [[0, 1, 0], [1, 1, 0], [1, 1, 1], [1, 8, 1]]);
    }
}
