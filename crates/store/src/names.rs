//! The names of the journal's files. Everything else in the directory is left alone.

/// A file of the journal, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    /// The segment of this number.
    Segment(u64),
    /// The index of the segment of this number.
    Index(u64),
    /// A file that is ready to become a segment. Its number means nothing.
    Spare(u64),
}

impl Name {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (stem, kind) = name.split_once('.')?;
        let number = u64::from_str_radix(stem, 16).ok()?;
        let parsed = match kind {
            "seg" => Self::Segment(number),
            "idx" => Self::Index(number),
            "spare" => Self::Spare(number),
            _ => return None,
        };
        // One number, one name: `1.seg` is not ours.
        (parsed.text() == name).then_some(parsed)
    }

    pub(crate) fn text(self) -> String {
        match self {
            Self::Segment(number) => format!("{number:016x}.seg"),
            Self::Index(number) => format!("{number:016x}.idx"),
            Self::Spare(number) => format!("{number:x}.spare"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_ours() {
        for name in [Name::Segment(1), Name::Segment(u64::MAX), Name::Index(7), Name::Spare(31)] {
            assert_eq!(Name::parse(&name.text()), Some(name));
        }
        for other in
            ["1.seg", "1.idx", "000000000000000g.seg", "01.spare", "lock", "1.spare.bak", ".seg", "+1.spare"]
        {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }
}
