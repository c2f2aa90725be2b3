//! Which tool the program is, and under which name.

/// A tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Publishes messages.
    Pub,
    /// Prints messages.
    Sub,
    /// Publishes a request and prints its answer.
    Request,
    /// Writes messages to a file.
    Record,
    /// Publishes what such a file holds.
    Replay,
    /// Prints the packets that pass through it.
    Spy,
    /// Shows topics as a tree.
    Tree,
    /// Shows topics by what comes on them.
    Top,
}

impl Tool {
    /// Every tool.
    pub const ALL: [Self; 8] =
        [Self::Pub, Self::Sub, Self::Request, Self::Record, Self::Replay, Self::Spy, Self::Tree, Self::Top];

    /// Whether it takes the name of a file beside flags.
    pub fn has_file(self) -> bool {
        matches!(self, Self::Record | Self::Replay)
    }

    /// Whether it listens, to everything if it is not told to what.
    pub(crate) fn is_watching(self) -> bool {
        matches!(self, Self::Record | Self::Tree | Self::Top)
    }

    /// Whether it can do nothing without a topic.
    pub(crate) fn needs_topic(self) -> bool {
        matches!(self, Self::Pub | Self::Sub | Self::Request)
    }
}

/// A tool as it was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Which tool.
    pub tool: Tool,
    /// Whether it is called by mosquitto's name for it.
    pub is_linked: bool,
}

impl Program {
    /// The tool of mosquitto with this name, if it is one.
    pub fn linked_as(file_name: &str) -> Option<Self> {
        let tool = TOOLS.iter().find(|(_, _, linked, _)| *linked == Some(file_name))?.0;
        Some(Self { tool, is_linked: true })
    }

    /// The command of `noctule` with this name, if it is a tool.
    pub fn command(name: &str) -> Option<Self> {
        let tool = TOOLS.iter().find(|(_, command, _, _)| *command == name)?.0;
        Some(Self { tool, is_linked: false })
    }

    /// Every tool as a command: its name, and what it does.
    pub fn commands() -> impl Iterator<Item = (&'static str, &'static str)> {
        TOOLS.iter().map(|(_, command, _, about)| (*command, *about))
    }

    /// How the user calls it.
    pub fn name(self) -> String {
        let (_, command, linked, _) = self.row();
        match linked {
            Some(linked) if self.is_linked => (*linked).to_owned(),
            _ => format!("noctule {command}"),
        }
    }

    /// mosquitto's name for the tool, if it has one.
    pub fn linked_name(self) -> Option<&'static str> {
        self.row().2
    }

    /// The files with its options, in the folder of the user's configuration, in the order in which they are read.
    pub fn options_files(self) -> Vec<String> {
        let (_, command, linked, _) = self.row();
        let own = (!self.is_linked).then(|| format!("noctule/{command}"));
        linked.map(str::to_owned).into_iter().chain(own).collect()
    }

    /// What it does, in a few words.
    pub fn about(self) -> &'static str {
        self.row().3
    }

    fn row(self) -> &'static Row {
        TOOLS.iter().find(|row| row.0 == self.tool).expect("every tool has its row")
    }
}

/// A tool, the command that it is, mosquitto's name for it if it has one, and what it does.
type Row = (Tool, &'static str, Option<&'static str>, &'static str);

const TOOLS: [Row; 8] = [
    (
        Tool::Pub,
        "pub",
        Some("mosquitto_pub"),
        "Publishes messages to a topic, with the flags of mosquitto_pub",
    ),
    (
        Tool::Sub,
        "sub",
        Some("mosquitto_sub"),
        "Subscribes to topics and prints what comes, with the flags of mosquitto_sub",
    ),
    (
        Tool::Request,
        "request",
        Some("mosquitto_rr"),
        "Publishes a request and prints its answer, with the flags of mosquitto_rr",
    ),
    (Tool::Record, "record", None, "Writes messages to a file, with the time at which they came"),
    (
        Tool::Replay,
        "replay",
        None,
        "Publishes what a file of `noctule record` holds, at its pace or another one",
    ),
    (Tool::Spy, "spy", None, "Stands between clients and a broker and prints each packet, decoded"),
    (Tool::Tree, "tree", None, "Shows topics as a tree, with what was said last on each"),
    (Tool::Top, "top", None, "Shows topics by how much comes on them"),
];
