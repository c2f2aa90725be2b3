//! What holds when nothing is configured.

use noctule_auth::{Access, Action, Address, Authority as _, Credentials, Identity, Origin};
use noctule_codec::QoS;

fn from(address: &str) -> Identity {
    let mut identity = Identity::new("c", None);
    identity.origin = Origin { address: Address::parse(address), ..Origin::default() };
    identity
}

#[test]
fn this_machine_comes_in_and_others_need_a_password() {
    let access = Access::unconfigured();
    for (address, user_name, allowed) in [
        ("127.0.0.1:5000", None, true),
        ("127.0.0.1:5000", Some("anybody"), true),
        ("[::1]:5000", None, true),
        ("unix:/run/noctule.sock", None, true),
        ("192.168.1.7:5000", None, false),
        ("192.168.1.7:5000", Some("anybody"), false),
    ] {
        let origin = Origin { address: Address::parse(address), ..Origin::default() };
        let password = user_name.map(|_| &b"x"[..]);
        let credentials = Credentials { client_id: "c", user_name, password, address, origin: &origin };
        let decision = access.connect(&credentials);
        assert_eq!(decision.allowed, allowed, "{address} {user_name:?}");
        let line = decision.refusal_line(&credentials);
        assert_eq!(line.contains("; to let it in: `noctule passwd USERS NAME`"), !allowed, "{line}");
    }
}

#[test]
fn this_machine_may_do_everything_and_others_what_they_name() {
    let access = Access::unconfigured();
    let cases = [
        ("#", false),
        ("+/#", false),
        ("+/+/#", false),
        ("+/a", false),
        ("$SYS/#", false),
        ("$SYS/broker/uptime", false),
        ("a", true),
        ("a/#", true),
        ("a/+/#", true),
        ("/#", true),
    ];
    for (filter, remote) in cases {
        let subscribe = Action::Subscribe { filter, qos: QoS::ExactlyOnce };
        assert!(access.allows(&from("127.0.0.1:1"), &subscribe), "{filter}");
        assert_eq!(access.allows(&from("10.0.0.1:1"), &subscribe), remote, "{filter}");
    }
    for (topic, remote) in [("a", true), ("a/b", true), ("/", true), ("$SYS/x", false), ("$a", false)] {
        for action in [
            Action::Receive { topic },
            Action::Publish { topic, qos: QoS::AtMostOnce, retain: true },
            Action::Will { topic, qos: QoS::AtMostOnce, retain: false },
        ] {
            assert!(access.allows(&from("127.0.0.1:1"), &action), "{topic}");
            assert_eq!(access.allows(&from("10.0.0.1:1"), &action), remote, "{topic}");
        }
    }
    let decision =
        access.permit(&from("10.0.0.1:1"), &Action::Subscribe { filter: "#", qos: QoS::AtMostOnce });
    assert_eq!(decision.source, "built in");
}
