//! Just enough of Rust's lexical rules to tell code from comments and strings, and to find where a function ends.
//!
//! Blanked text keeps its line breaks and byte positions, so line numbers stay true.

use std::ops::Range;

/// A Rust source with what is not code blanked out.
pub(crate) struct RustText {
    /// Neither comments nor the contents of strings and characters.
    pub(crate) code: String,
    /// Strings stay, comments do not.
    pub(crate) without_comments: String,
}

impl RustText {
    pub(crate) fn new(source: &str) -> Self {
        let (mut code, mut without_comments) = (source.as_bytes().to_vec(), source.as_bytes().to_vec());
        let mut at = 0;
        while at < source.len() {
            let piece = next_piece(source, at);
            match piece {
                Piece::Code(_) => {}
                Piece::Comment(_) => {
                    blank(&mut code[at..piece.end()]);
                    blank(&mut without_comments[at..piece.end()]);
                }
                Piece::Literal(_) => blank(&mut code[at..piece.end()]),
            }
            at = piece.end();
        }
        let text = |bytes| String::from_utf8(bytes).expect("whole pieces were replaced by ASCII");
        Self { code: text(code), without_comments: text(without_comments) }
    }

    /// Byte ranges of everything that is compiled for tests only.
    pub(crate) fn test_ranges(&self) -> Vec<Range<usize>> {
        let starts = self.code.match_indices("#[cfg(test)]").map(|(at, _)| at);
        starts.map(|at| at..item_end(&self.code, at)).collect()
    }

    /// Name, byte position and length in lines of each function that has a body.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let mut functions = Vec::new();
        for at in words(&self.code, "fn") {
            let name: String = self.code[at + 2..].trim_start().chars().take_while(|&c| is_word(c)).collect();
            let item = &self.code[at..item_end(&self.code, at)];
            if !name.is_empty() && item.ends_with('}') {
                functions.push(Function { name, at, lines: item.lines().count() });
            }
        }
        functions
    }
}

/// A function with a body.
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) at: usize,
    pub(crate) lines: usize,
}

/// Positions where this word stands by itself.
pub(crate) fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// The 1-based line of a byte position.
pub(crate) fn line_at(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Every path under this root that the code names, `use` groups written out, with the position of the root.
pub(crate) fn paths(code: &str, root: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in words(code, root) {
        let mut rest = code[at + root.len()..].trim_start();
        if rest.starts_with("::") {
            expand(&mut rest, root.to_owned(), &mut |path| found.push((at, path)));
        }
    }
    found
}

/// Reads `::a::{b, c::d}` after `prefix` and reports each full path.
fn expand(rest: &mut &str, mut prefix: String, report: &mut dyn FnMut(String)) {
    while let Some(after) = rest.trim_start().strip_prefix("::") {
        *rest = after.trim_start();
        if let Some(group) = rest.strip_prefix('{') {
            *rest = group;
            return expand_group(rest, &prefix, report);
        }
        let word = take_word(rest);
        if word.is_empty() {
            break;
        }
        prefix = format!("{prefix}::{word}");
    }
    report(prefix);
}

fn expand_group(rest: &mut &str, prefix: &str, report: &mut dyn FnMut(String)) {
    loop {
        *rest = rest.trim_start_matches([',', ' ', '\n', '\t']);
        if rest.is_empty() || rest.starts_with('}') {
            *rest = rest.strip_prefix('}').unwrap_or(rest);
            return;
        }
        let word = take_word(rest);
        if word.is_empty() {
            // A glob, or something that is no path; one character on, so the loop ends.
            *rest = &rest[rest.chars().next().map_or(0, char::len_utf8)..];
            continue;
        }
        expand(rest, format!("{prefix}::{word}"), report);
        let renamed = rest.trim_start().strip_prefix("as ");
        if let Some(mut name) = renamed.map(str::trim_start) {
            take_word(&mut name);
            *rest = name;
        }
    }
}

fn take_word<'a>(rest: &mut &'a str) -> &'a str {
    let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    *rest = after;
    word
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where the item that begins here ends: behind its brace block, or behind its semicolon if that comes first.
fn item_end(code: &str, start: usize) -> usize {
    let (mut braces, mut brackets) = (0_usize, 0_usize);
    for (offset, byte) in code.as_bytes()[start..].iter().enumerate() {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets = brackets.saturating_sub(1),
            b'{' => braces += 1,
            b'}' => braces = braces.saturating_sub(1),
            _ => {}
        }
        if braces == 0 && brackets == 0 && matches!(byte, b'}' | b';') {
            return start + offset + 1;
        }
    }
    code.len()
}

/// A run of bytes of one kind, with the position after its end.
enum Piece {
    Code(usize),
    Comment(usize),
    Literal(usize),
}

impl Piece {
    fn end(&self) -> usize {
        match self {
            Self::Code(end) | Self::Comment(end) | Self::Literal(end) => *end,
        }
    }
}

fn next_piece(source: &str, at: usize) -> Piece {
    let rest = &source[at..];
    let first = rest.chars().next().expect("the caller stops at the end");
    if rest.starts_with("//") {
        Piece::Comment(at + rest.find('\n').unwrap_or(rest.len()))
    } else if rest.starts_with("/*") {
        Piece::Comment(at + block_comment_len(rest))
    } else if let Some(len) = raw_string_len(source, at) {
        Piece::Literal(at + len)
    } else if first == '"' {
        Piece::Literal(at + quoted_len(rest, '"'))
    } else if first == '\'' && is_char_literal(rest) {
        Piece::Literal(at + quoted_len(rest, '\''))
    } else {
        Piece::Code(at + first.len_utf8())
    }
}

fn block_comment_len(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest.as_bytes()[at..].starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.as_bytes()[at..].starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// Length of `r"…"`, `r#"…"#` and so on (after a `b` or `c` too), if one begins here.
fn raw_string_len(source: &str, at: usize) -> Option<usize> {
    let before = source[..at].chars().next_back();
    let prefixed = before.is_some_and(|c| c == 'b' || c == 'c');
    if before.is_some_and(is_word) && !prefixed {
        return None;
    }
    let after = source[at..].strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = body.find(&close).map_or(body.len(), |end| end + close.len());
    Some(1 + hashes + 1 + end)
}

fn quoted_len(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return at + 1;
        }
    }
    rest.len()
}

/// Tells `'a'` and `'\n'` from the lifetime `'a`.
fn is_char_literal(rest: &str) -> bool {
    let mut after = rest.chars().skip(1);
    match after.next() {
        Some('\\') => true,
        Some(_) => after.next() == Some('\''),
        None => false,
    }
}

fn blank(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
}

#[test]
fn comments_and_strings_are_no_code() {
    let text =
        RustText::new("a /* x /* y */ z */ b // c\n'd' \"e\\\"f\" 'g r#\"h\"i\"# j '\\'' k br\"l\" for");
    assert_eq!(text.code.split_whitespace().collect::<String>(), "ab'gjkbfor");
    assert_eq!(text.code.lines().count(), 2);
    assert!(text.without_comments.contains("\"e\\\"f\""));
}

#[test]
fn use_groups_are_written_out() {
    let found =
        paths("use std::{fs, io as other, net::{self, TcpStream}, time::*}; std::thread::spawn(f)", "std");
    let found: Vec<&str> = found.iter().map(|(_, path)| path.as_str()).collect();
    let expected =
        ["std::fs", "std::io", "std::net::self", "std::net::TcpStream", "std::time", "std::thread::spawn"];
    assert_eq!(found, expected);
}

#[test]
fn functions_have_names_and_lengths() {
    let text = RustText::new("trait T {\n fn a();\n}\nfn b(x: [u8; 2]) {\n if c {\n }\n}\nfn d() {}\n");
    let found: Vec<_> = text.functions().into_iter().map(|f| (f.name, f.lines)).collect();
    assert_eq!(found, [("b".to_owned(), 4), ("d".to_owned(), 1)]);
}

#[test]
fn code_for_tests_is_found() {
    let text = RustText::new("fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() {}\n}\nfn c() {}\n");
    let ranges = text.test_ranges();
    assert_eq!(ranges.len(), 1);
    assert_eq!(text.code[ranges[0].clone()].lines().count(), 4);

    let text = RustText::new("#[cfg(test)]\nmod tests;\nfn a() {}\n");
    assert_eq!(&text.code[text.test_ranges()[0].clone()], "#[cfg(test)]\nmod tests;");
}
