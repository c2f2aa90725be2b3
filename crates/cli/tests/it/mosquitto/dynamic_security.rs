//! A `dynamic-security.json` under the plugin of the real mosquitto and under `noctule serve --mosquitto`.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use noctule_codec::QoS::AtLeastOnce;
use serde_json::{Value, json};

use super::brokers::{Kind, Subject};
use super::client::{Client, Hello};
use crate::support::{folder, noctule, outcome};

const FILE: &str = include_str!("fixtures/dynamic-security.json");

/// User name, client id and password of all that try to come in.
const CLIENTS: &[(Option<&str>, &str, &str)] = &[
    (None, "anonymous", ""),
    (Some("anna"), "any", "secret"),
    (Some("anna"), "any", "wrong"),
    (Some("bert"), "only-bert", "secret"),
    (Some("bert"), "any", "secret"),
    (Some("carl"), "any", "secret"),
    (Some("dora"), "any", "secret"),
    (Some("emil"), "any", "secret"),
    (Some("off"), "any", "secret"),
    (Some("open"), "any", "secret"),
    (Some("open"), "any", ""),
    (Some("nobody"), "any", "secret"),
];

const TOPICS: &[&str] = &[
    "a",
    "a/b",
    "a/b/c",
    "a/c",
    "a/secret",
    "a/secret/x",
    "a/top",
    "b",
    "b/c",
    "b/x/y",
    "c/c",
    "d",
    "$CONTROL/x",
];

const FILTERS: &[&str] = &[
    "#",
    "+",
    "+/+",
    "+/c",
    "a/#",
    "a/+",
    "a/b",
    "a/b/#",
    "a/b/c",
    "a/c",
    "a/secret",
    "b/#",
    "b/+",
    "b/c",
    "d",
    "$SYS/#",
    "$SYS/broker/uptime",
    "c/c",
];

/// Debian has a folder for each architecture.
fn plugin() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").expect("a folder of libraries").filter_map(Result::ok);
    let mut paths = folders.map(|folder| folder.path().join("mosquitto_dynamic_security.so"));
    paths.find(|path| path.exists()).expect("the plugin has to be installed (Debian package mosquitto)")
}

fn start(kind: Kind, test: &str, file: &Value) -> Subject {
    let conf = format!(
        "listener {{PORT}} 127.0.0.1\nallow_anonymous true\nplugin {}\nplugin_opt_config_file dynamic-security.json\n",
        plugin().display()
    );
    let subject = Subject::start(kind, test, &conf, &vec![("dynamic-security.json", format!("{file:#}"))]);
    assert!(subject.is_running, "{kind:?}: {}", subject.stderr());
    subject
}

fn hello<'a>((user, client_id, password): (Option<&'a str>, &'a str, &'a str)) -> Hello<'a> {
    let password = (!password.is_empty()).then_some(password);
    Hello { user_name: user, password, ..Hello::new(client_id) }
}

/// All that is let through, one line for each thing.
fn observe(at: &Subject) -> BTreeSet<String> {
    let mut watcher = Client::dial(at).expect("the broker listens");
    let may_watch = watcher.connect(hello((Some("watcher"), "watcher", "secret"))).is_in
        && watcher.subscribe("#", AtLeastOnce) == "#: [GrantedQoS1]";
    assert!(may_watch);
    let mut seen = BTreeSet::new();
    for &who in CLIENTS {
        let name = format!("{who:?}");
        let mut client = Client::dial(at).expect("the broker listens");
        if !client.connect(hello(who)).is_in {
            continue;
        }
        seen.insert(format!("{name} comes in"));
        for filter in FILTERS {
            seen.insert(format!("{name} subscribes to {}", client.subscribe(filter, AtLeastOnce)));
        }
        for topic in TOPICS.iter().filter(|topic| !topic.starts_with('$')) {
            watcher.publish(topic, "to all", AtLeastOnce, false);
        }
        watcher.heard();
        // What the brokers say of themselves is not the same.
        let heard = client.heard().into_iter().filter(|message| !message.starts_with("$SYS/"));
        seen.extend(heard.map(|message| format!("{name} receives {message}")));
        for topic in TOPICS {
            client.publish(topic, "from it", AtLeastOnce, false);
        }
        seen.extend(watcher.heard().into_iter().map(|message| format!("{name} publishes {message}")));
    }
    seen
}

#[test]
fn clients_groups_and_roles_say_what_they_say_to_the_plugin() {
    let file: Value = serde_json::from_str(FILE).expect("JSON");
    let mut open = file.clone();
    open["defaultACLAccess"] =
        json!({ "publishClientSend": true, "publishClientReceive": false, "subscribe": true });
    open["anonymousGroup"] = json!("mixed");
    let mut bare = file.clone();
    for key in ["defaultACLAccess", "anonymousGroup"] {
        bare.as_object_mut().expect("an object").remove(key);
    }
    for (name, file) in [("as_made", file), ("open", open), ("bare", bare)] {
        let [ours, theirs] = [Kind::Noctule, Kind::Mosquitto]
            .map(|kind| observe(&start(kind, &format!("dynamic_security_{name}"), &file)));
        let missing: Vec<_> = theirs.difference(&ours).collect();
        let surplus: Vec<_> = ours.difference(&theirs).collect();
        assert!(
            missing.is_empty() && surplus.is_empty(),
            "{name}: mosquitto alone {missing:#?}, noctule alone {surplus:#?}"
        );
        for (kind, least) in [("comes in", 6), ("subscribes to", 40), ("receives", 5), ("publishes", 10)] {
            let count = ours.iter().filter(|what| what.contains(kind)).count();
            assert!(count >= least, "{name}: {count} times {kind}");
        }
    }
}

#[test]
fn what_is_wrong_in_it_is_told_with_its_line_and_stops_the_start() {
    let folder = folder("dynamic_security_wrong");
    let write =
        |name: &str, text: &str| fs::write(folder.join(name), text).expect("a writable folder for tests");
    let conf = "listener 1883 127.0.0.1\nplugin mosquitto_dynamic_security.so\n";
    write("mosquitto.conf", &format!("{conf}plugin_opt_config_file ds.json\n"));
    write(
        "ds.json",
        "{\n \"roles\": [\n  {\"rolename\": \"a\", \"acls\": [{\"acltype\": \"fly\", \"topic\": \"a\"}]}]}",
    );
    let serve = ["serve", "--mosquitto", "mosquitto.conf"];
    let (code, _, stderr) = outcome(&mut noctule(&folder, &serve));
    assert_eq!(code, 2);
    assert!(stderr.contains("ds.json:3:30: \"fly\" is no acltype that is understood"), "{stderr}");
    write("ds.json", FILE);
    write("rights", "topic read a/#\n");
    write("mosquitto.conf", &format!("acl_file rights\n{conf}plugin_opt_config_file ds.json\n"));
    let (code, _, stderr) = outcome(&mut noctule(&folder, &serve));
    let both =
        "access.mosquitto_acl_file and access.mosquitto_dynamic_security_file are both set; keep one of them";
    assert!(code == 2 && stderr.contains(both), "{stderr}");
    write("mosquitto.conf", conf);
    let (code, _, stderr) = outcome(&mut noctule(&folder, &serve));
    assert_eq!(code, 2, "without its file the plugin would let everybody do everything");
    assert!(stderr.starts_with("mosquitto.conf:2:1: plugin: plugin_opt_config_file is missing"), "{stderr}");
}
