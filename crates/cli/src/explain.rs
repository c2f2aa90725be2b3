//! `noctule explain`: what the broker would decide, and why, from the code that decides.

use std::io::{self, Write as _};

use clap::{Arg, ArgAction, ArgMatches, Command};
use noctule_broker::access::auth::{Action, Address, Credentials, Explanation, Origin};
use noctule_broker::access::{Loaded, auth};
use noctule_broker::config::load;
use serde_json::json;

use crate::command::{setting_args, sources};
use crate::failure::Failure;

/// The command, with a command of its own for each question.
pub(crate) fn command() -> Command {
    let question = |name: &'static str, about: &'static str| {
        Command::new(name).about(about).args(client_args()).args(setting_args())
    };
    let topic = |name: &'static str, about: &'static str| question(name, about).args(topic_args());
    Command::new("explain")
        .about("Says what a client may do and which rule says so; exits with 0 if it may, else with 1")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(question("connect", "May this client come in? Its password is taken to be right"))
        .subcommand(topic("publish", "May it publish on this topic?"))
        .subcommand(topic("will", "May it leave a will on this topic?"))
        .subcommand(topic("subscribe", "May it subscribe to this filter?"))
        .subcommand(topic("receive", "Does it get what is published on this topic?"))
}

/// Prints the answer; exits with 0 if the client may.
pub(crate) fn explain(matches: &ArgMatches) -> Result<(), Failure> {
    let (question, matches) = matches.subcommand().expect("clap asks for one");
    let config = load(&sources(matches)).map_err(Failure::Configuration)?.config;
    let loaded = noctule_broker::access::load(&config, 1).map_err(Failure::Configuration)?;
    for warning in &loaded.warnings {
        writeln!(io::stderr(), "noctule: {warning}")?;
    }
    let explanation = answer(&loaded, question, matches);
    let text = match matches.get_one::<String>(OUTPUT).map(String::as_str) {
        Some("json") => as_json(&explanation),
        _ => explanation.to_string(),
    };
    io::stdout().write_all(text.as_bytes())?;
    if explanation.decision.allowed { Ok(()) } else { Err(Failure::Denied) }
}

fn answer(Loaded { access, .. }: &Loaded, question: &str, matches: &ArgMatches) -> Explanation {
    let text = |name: &str| matches.get_one::<String>(name).map(String::as_str);
    let (client_id, user_name) = (text(CLIENT).unwrap_or_default(), text(USER));
    let address = text(ADDRESS).unwrap_or_default();
    let listener = text(LISTENER).unwrap_or_default().into();
    let origin = Origin { address: Address::parse(address), listener, certificate: None };
    if question == "connect" {
        let credentials = Credentials { client_id, user_name, password: None, address, origin: &origin };
        return access.explain_connect(&credentials);
    }
    let identity = access.identity(client_id.into(), user_name.map(Into::into), origin);
    let topic = text(TOPIC).unwrap_or_default();
    let qos = match text(QOS) {
        Some("1") => auth::QoS::AtLeastOnce,
        Some("2") => auth::QoS::ExactlyOnce,
        _ => auth::QoS::AtMostOnce,
    };
    let retain = matches.get_flag(RETAIN);
    let action = match question {
        "publish" => Action::Publish { topic, qos, retain },
        "will" => Action::Will { topic, qos, retain },
        "subscribe" => Action::Subscribe { filter: topic, qos },
        _ => Action::Receive { topic },
    };
    access.explain(&identity, &action)
}

fn as_json(explanation: &Explanation) -> String {
    let Explanation { question, decision, notes } = explanation;
    let object = json!({
        "question": question,
        "allowed": decision.allowed,
        "rule": decision.rule,
        "source": decision.source,
        "cause": decision.cause,
        "remedy": decision.remedy,
        "notes": notes,
    });
    format!("{object:#}\n")
}

fn client_args() -> Vec<Arg> {
    let arg = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    vec![
        arg(USER, "NAME", "Its user name; none without this"),
        arg(CLIENT, "ID", "Its client id").default_value("client"),
        arg(ADDRESS, "ADDRESS", "The address it comes from").default_value("127.0.0.1"),
        arg(LISTENER, "NAME", "The name of the listener it comes to").default_value(""),
        arg(OUTPUT, "FORMAT", "What is printed")
            .short('o')
            .value_parser(["text", "json"])
            .default_value("text"),
    ]
}

fn topic_args() -> Vec<Arg> {
    vec![
        Arg::new(TOPIC).long(TOPIC).value_name("TOPIC").required(true).help("The topic name, or the filter"),
        Arg::new(QOS)
            .long(QOS)
            .value_name("QOS")
            .value_parser(["0", "1", "2"])
            .default_value("0")
            .help("The QoS"),
        Arg::new(RETAIN).long(RETAIN).action(ArgAction::SetTrue).help("Whether it is to be retained"),
    ]
}

const USER: &str = "user";
const CLIENT: &str = "client";
const ADDRESS: &str = "address";
const LISTENER: &str = "listener";
const TOPIC: &str = "topic";
const QOS: &str = "qos";
const RETAIN: &str = "retain";
const OUTPUT: &str = "output";
