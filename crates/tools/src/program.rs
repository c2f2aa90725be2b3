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
        let tool = TOOLS.iter().find(|(_, _, linked, _)| *linked == file_name)?.0;
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
        if self.is_linked { (*linked).to_owned() } else { format!("noctule {command}") }
    }

    /// The files with its options, in the folder of the user's configuration, in the order in which they are read.
    pub(crate) fn options_files(self) -> Vec<String> {
        let (_, command, linked, _) = self.row();
        let own = (!self.is_linked).then(|| format!("noctule/{command}"));
        std::iter::once((*linked).to_owned()).chain(own).collect()
    }

    /// What it does, in a few words.
    pub(crate) fn about(self) -> &'static str {
        self.row().3
    }

    fn row(self) -> &'static (Tool, &'static str, &'static str, &'static str) {
        TOOLS.iter().find(|row| row.0 == self.tool).expect("every tool has its row")
    }
}

/// A tool, the command that it is, mosquitto's name for it, and what it does.
const TOOLS: [(Tool, &str, &str, &str); 3] = [
    (Tool::Pub, "pub", "mosquitto_pub", "Publishes messages to a topic, with the flags of mosquitto_pub"),
    (
        Tool::Sub,
        "sub",
        "mosquitto_sub",
        "Subscribes to topics and prints what comes, with the flags of mosquitto_sub",
    ),
    (
        Tool::Request,
        "request",
        "mosquitto_rr",
        "Publishes a request and prints its answer, with the flags of mosquitto_rr",
    ),
];
