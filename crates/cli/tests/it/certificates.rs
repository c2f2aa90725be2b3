//! mosquitto's clients with and without certificates, right and wrong ones: who is let in, and what both sides say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

use crate::support::{Broker, folder, noctule};

type Authority = CertifiedIssuer<'static, KeyPair>;

/// A broker whose listeners show different certificates; the last one asks for those of clients.
struct Served {
    broker: Broker,
    folder: PathBuf,
    /// By the name of the listener's certificate.
    ports: Vec<(&'static str, String)>,
}

const SHOWN: [&str; 4] = ["right", "other_host", "foreign", "alone"];
const ASKING: &str = "asking";

fn start(test: &str) -> Served {
    let folder = folder(test);
    make_certificates(&folder);
    let listener = |name: &str, rest: &str| {
        format!(
            "[[listener]]\nurl = \"tls://127.0.0.1:0\"\ncertificate = [\"{name}.pem\"]\nkey = [\"{name}.key\"]\n\
             {rest}\n"
        )
    };
    let asking =
        "client_certificates = \"required\"\nclient_ca = \"ca.pem\"\ncertificate_name = \"common_name\"";
    let tables: String = SHOWN.iter().map(|name| listener(name, "")).collect();
    let text = format!("durability = \"memory\"\n{tables}{}", listener("right", asking));
    fs::write(folder.join("noctule.toml"), text).expect("a writable folder for tests");
    let mut broker = Broker::start(&mut noctule(&folder, &["--config", "noctule.toml"]));
    let ready = broker.ready();
    let places = ready.split_whitespace().filter_map(|word| word.strip_prefix("tls://127.0.0.1:"));
    let ports = SHOWN.into_iter().chain([ASKING]).zip(places.map(str::to_owned)).collect();
    Served { broker, folder, ports }
}

impl Served {
    /// Publishes a message with mosquitto_pub, with the certificate of this name.
    fn publish(&self, at: &str, own: Option<&str>) -> Output {
        let (_, port) = self.ports.iter().find(|(name, _)| *name == at).expect("a listener");
        let mut tool = Command::new("mosquitto_pub");
        tool.current_dir(&self.folder).args(["-h", "localhost", "-p", port, "--cafile", "ca.pem", "-V", "5"]);
        tool.args(["-q", "1", "-t", "a", "-m", "b", "-i", own.unwrap_or("nobody")]);
        if let Some(own) = own {
            tool.args(["--cert", &format!("{own}.pem"), "--key", &format!("{own}.key")]);
        }
        tool.output().expect("mosquitto's clients have to be installed (Debian package mosquitto-clients)")
    }
}

fn make_certificates(folder: &Path) {
    let (ours, theirs) = (authority("House"), authority("Elsewhere"));
    let write = |name: &str, pem: &str, key: &str| {
        fs::write(folder.join(format!("{name}.pem")), pem).expect("a writable folder for tests");
        fs::write(folder.join(format!("{name}.key")), key).expect("a writable folder for tests");
    };
    let by = |authority: &Authority, name: &str, params: &CertificateParams| {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, authority).expect("a certificate");
        write(name, &certificate.pem(), &key.serialize_pem());
    };
    fs::write(folder.join("ca.pem"), ours.pem()).expect("a writable folder for tests");
    by(&ours, "right", &params("localhost"));
    by(&ours, "other_host", &params("other.lan"));
    by(&theirs, "foreign", &params("localhost"));
    by(&ours, "anna", &params("anna"));
    by(&theirs, "stranger", &params("anna"));
    let (mut old, mut early) = (params("anna"), params("anna"));
    old.not_after = date_time_ymd(2020, 1, 1);
    early.not_before = date_time_ymd(4000, 1, 1);
    by(&ours, "old", &old);
    by(&ours, "early", &early);
    let key = KeyPair::generate().expect("a key");
    let alone = params("localhost").self_signed(&key).expect("a certificate");
    write("alone", &alone.pem(), &key.serialize_pem());
}

fn authority(name: &str) -> Authority {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

#[test]
fn a_client_of_mosquitto_believes_the_right_broker_and_no_other() {
    let served = start("wrong_servers");
    let right = served.publish("right", None);
    assert!(right.status.success(), "{}", String::from_utf8_lossy(&right.stderr));
    for wrong in ["other_host", "foreign", "alone"] {
        let said = served.publish(wrong, None);
        let stderr = String::from_utf8_lossy(&said.stderr);
        assert!(!said.status.success() && stderr.contains("TLS error"), "{wrong}: {stderr}");
    }
    let (_, log) = served.broker.end();
    // What the client says of a wrong host is no more than that something was wrong.
    for (said, times) in
        [("TLS: the client does not trust our certificate", 2), ("TLS: the client gave up", 1)]
    {
        assert_eq!(log.lines().filter(|line| line.contains(said)).count(), times, "{log}");
    }
}

#[test]
fn a_broker_believes_the_right_client_of_mosquitto_and_says_what_is_wrong_with_others() {
    let served = start("wrong_clients");
    let right = served.publish(ASKING, Some("anna"));
    assert!(right.status.success(), "{}", String::from_utf8_lossy(&right.stderr));
    let wrong = [
        (None, "TLS: the client presents no certificate, which is required here"),
        (
            Some("stranger"),
            "TLS: the certificate of the client is not signed by an authority that is trusted here",
        ),
        (
            Some("alone"),
            "TLS: the certificate of the client is not signed by an authority that is trusted here",
        ),
        (Some("old"), "TLS: the certificate of the client has expired"),
        (Some("early"), "TLS: the certificate of the client is not valid yet"),
    ];
    for (own, _) in wrong {
        assert!(!served.publish(ASKING, own).status.success(), "{own:?}");
    }
    let (_, log) = served.broker.end();
    let refused: Vec<&str> = log.lines().filter(|line| line.contains("client refused")).collect();
    assert_eq!(refused.len(), wrong.len(), "{log}");
    for (line, (own, said)) in refused.iter().zip(wrong) {
        assert!(line.contains(said), "{own:?}: {line}");
    }
    assert!(log.contains("client connected client_id=\"anna\""), "{log}");
}
