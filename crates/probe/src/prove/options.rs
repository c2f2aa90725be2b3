//! What a trial does, with its defaults, and how a broker is started.

use std::path::PathBuf;
use std::time::Duration;

use noctule_codec::ProtocolVersion;

use super::error::ProveError;

/// What a trial does. Made by [`ProveOptions::new`]; the fields are for the caller to change.
#[derive(Clone, Debug)]
pub struct ProveOptions {
    /// How the broker is started.
    pub broker: BrokerCommand,
    /// Where the trial makes a folder of its own, with the broker's data in it. What is proven is proven for the disk
    /// and the file system of this folder.
    pub data_dir: PathBuf,
    /// The folder is left where it is at the end.
    pub keep: bool,
    /// Kills under load.
    pub rounds: u32,
    /// Where chance begins: when to kill, and when to kill again.
    pub seed: u64,
    /// The version all clients speak; 3.1 is refused, because its CONNACK does not say whether a session is there.
    pub version: ProtocolVersion,
    /// How long the load runs on average before a kill. The kill comes after a quarter to seven quarters of it.
    pub load: Duration,
    /// Publications per second of all publishers together; a broker that acknowledges more slowly gets fewer.
    pub rate: u64,
    /// The port the broker listens on; none for a free one below 32768 at each start.
    pub port: Option<u16>,
    /// Without any progress for this long, what is missing is not waited for any more; at the end three times as long.
    pub patience: Duration,
    /// How long a broker may take until it serves the first client.
    pub start_patience: Duration,
}

/// How a broker is started: a program and its arguments, in which `{port}`, `{dir}` and `{config}` are replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerCommand {
    /// What it is called in the report.
    pub name: String,
    /// The program and its arguments.
    pub words: Vec<String>,
    /// What the file named `{config}` says; placeholders are replaced in it too.
    pub config: Option<String>,
}

impl ProveOptions {
    /// The defaults, for this broker, with data under this folder.
    pub fn new(broker: BrokerCommand, data_dir: PathBuf, seed: u64) -> Self {
        Self {
            broker,
            data_dir,
            keep: false,
            rounds: 10,
            seed,
            version: ProtocolVersion::V5,
            load: Duration::from_secs(1),
            rate: 2_000,
            port: None,
            patience: Duration::from_secs(1),
            start_patience: Duration::from_secs(30),
        }
    }

    /// Looks for contradictions.
    pub(crate) fn check(&self) -> Result<(), ProveError> {
        let refuse = |text: &str| Err(ProveError::Usage(text.to_owned()));
        if self.rounds == 0 || self.rate == 0 || self.load.is_zero() || self.patience.is_zero() {
            return refuse("--rounds, --rate and --seconds are more than 0");
        }
        if self.version == ProtocolVersion::V3_1 {
            return refuse(
                "--mqtt is 3.1.1 or 5: a CONNACK of 3.1 does not say whether the session is still there, so a \
                 client cannot know how to go on",
            );
        }
        self.broker.check(self.port)
    }
}

impl BrokerCommand {
    /// A command as a user writes it: words between spaces; quotes keep spaces.
    ///
    /// # Errors
    /// [`ProveError::Usage`] if it is empty or a quote is not closed.
    pub fn parse(command: &str) -> Result<Self, ProveError> {
        let words = words(command)?;
        let Some(program) = words.first() else {
            return Err(ProveError::Usage("--broker: the command is empty".to_owned()));
        };
        let name = program.rsplit('/').next().unwrap_or(program).to_owned();
        Ok(Self { name, words, config: None })
    }

    /// Noctule, from this program, which has to be the `noctule` binary.
    pub fn noctule(program: String) -> Self {
        let arguments = ["--listen", "tcp://127.0.0.1:{port}", "--data-dir", "{dir}", "--log", "warn"];
        let words = [program].into_iter().chain(arguments.map(str::to_owned)).collect();
        Self { name: "noctule".to_owned(), words, config: None }
    }

    /// Mosquitto from the search path or a folder for servers beside it, told to save its state after every change and
    /// to bound no queue.
    pub fn mosquitto() -> Self {
        let words = ["mosquitto", "-c", "{config}"].map(str::to_owned).to_vec();
        Self { name: "mosquitto".to_owned(), words, config: Some(MOSQUITTO_CONFIG.to_owned()) }
    }

    fn check(&self, port: Option<u16>) -> Result<(), ProveError> {
        let texts = || self.words.iter().chain(&self.config);
        if port.is_none() && !texts().any(|text| text.contains("{port}")) {
            return Err(ProveError::Usage(
                "the broker has to know its port: write {port} into its command or its configuration, or say \
                 with --port where it listens"
                    .to_owned(),
            ));
        }
        if self.config.is_none() && texts().any(|text| text.contains("{config}")) {
            return Err(ProveError::Usage("{config} needs a file: add --broker-config FILE".to_owned()));
        }
        Ok(())
    }
}

/// Splits at white space outside of single and double quotes.
fn words(command: &str) -> Result<Vec<String>, ProveError> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for character in command.chars() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, space) if space.is_whitespace() => words.extend(word.take()),
            (_, other) => word.get_or_insert_default().push(other),
        }
    }
    if let Some(quote) = quote {
        return Err(ProveError::Usage(format!("--broker: the quote {quote} is not closed")));
    }
    words.extend(word);
    Ok(words)
}

/// Persistence as eager as mosquitto has it: the whole state is saved whenever anything has changed. Queues have no
/// bound, so that nothing is dropped for want of room. `user` matters only when it is started by root.
const MOSQUITTO_CONFIG: &str = "\
listener {port} 127.0.0.1
allow_anonymous true
user root
persistence true
persistence_location {dir}/
autosave_on_changes true
autosave_interval 1
max_queued_messages 0
max_queued_bytes 0
";

#[cfg(test)]
mod tests {
    use super::*;

    fn options(command: &str) -> ProveOptions {
        ProveOptions::new(BrokerCommand::parse(command).expect("a command"), PathBuf::from("."), 1)
    }

    #[test]
    fn a_command_is_split_at_spaces_outside_quotes() {
        let parse = |text| BrokerCommand::parse(text).map(|command| (command.name, command.words));
        let (name, words) =
            parse("/opt/my\\ broker  -p {port} --data '{dir}/a b' \"\" x'y z'").expect("words");
        assert_eq!(name, "my\\");
        assert_eq!(words[1..], ["broker", "-p", "{port}", "--data", "{dir}/a b", "", "xy z"]);
        for (wrong, part) in [("", "empty"), ("  ", "empty"), ("a 'b", "quote '")] {
            let text = parse(wrong).expect_err(part).to_string();
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn the_presets_are_consistent() {
        for broker in [BrokerCommand::noctule("noctule".to_owned()), BrokerCommand::mosquitto()] {
            assert!(ProveOptions { broker, ..options("x {port}") }.check().is_ok());
        }
    }

    #[test]
    fn contradictions_say_what_to_change() {
        type Change = fn(&mut ProveOptions);
        let cases: [(&str, Change, &str); 6] = [
            ("x {port}", |options| options.rounds = 0, "--rounds"),
            ("x {port}", |options| options.rate = 0, "--rate"),
            ("x {port}", |options| options.load = Duration::ZERO, "--seconds"),
            ("x {port}", |options| options.version = ProtocolVersion::V3_1, "3.1.1 or 5"),
            ("x", |_| (), "{port}"),
            ("x {port} {config}", |_| (), "--broker-config"),
        ];
        for (command, change, part) in cases {
            let mut options = options(command);
            change(&mut options);
            let text = options.check().expect_err(part).to_string();
            assert!(text.contains(part), "{text}");
        }
        assert!(ProveOptions { port: Some(1883), ..options("x") }.check().is_ok());
    }
}
