//! Cases of the options about TLS, with certificates of their own.

use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use super::brokers::{Files, Subject};
use super::cases::{Case, Expected};
use super::client::{Client, Hello};

pub(super) const CASES: &[Case] = &[
    case(
        "certfile",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\ncertfile server.pem\nkeyfile server.key\n",
        without_certificate,
    ),
    case(
        "keyfile",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\ncertfile server.pem\nkeyfile server.key\n",
        without_certificate,
    ),
    case(
        "cafile",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\ncertfile server.pem\nkeyfile server.key\ncafile ca.pem\n\
         require_certificate true\n",
        with_certificates,
    ),
    case(
        "capath",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\ncertfile server.pem\nkeyfile server.key\ncapath authorities\n\
         require_certificate true\n",
        with_certificates,
    ),
    case(
        "require_certificate",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\ncertfile server.pem\nkeyfile server.key\ncafile ca.pem\n\
         require_certificate true\n",
        with_certificates,
    ),
    case(
        "use_identity_as_username",
        "listener {PORT} 127.0.0.1\nallow_anonymous false\ncertfile server.pem\nkeyfile server.key\ncafile ca.pem\n\
         require_certificate true\nuse_identity_as_username true\nacl_file identity\n",
        as_user,
    ),
    case(
        "use_subject_as_username",
        "listener {PORT} 127.0.0.1\nallow_anonymous false\ncertfile server.pem\nkeyfile server.key\ncafile ca.pem\n\
         require_certificate true\nuse_subject_as_username true\nacl_file subject\n",
        as_user,
    ),
    case(
        "use_username_as_clientid",
        "listener {PORT} 127.0.0.1\nallow_anonymous false\ncertfile server.pem\nkeyfile server.key\ncafile ca.pem\n\
         require_certificate true\nuse_identity_as_username true\nuse_username_as_clientid true\n",
        same_certificate,
    ),
    case(
        "tls_version",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\ncertfile server.pem\nkeyfile server.key\n\
         tls_version tlsv1.3\n",
        versions,
    ),
];

const fn case(option: &'static str, conf: &'static str, probe: fn(&mut Subject) -> Vec<String>) -> Case {
    Case { option, conf, files: certificates, probe, expected: Expected::Mosquitto }
}

/// Makes everything once: an authority, a server, a client, and a client of somebody else.
pub(super) fn certificates() -> Files {
    static FILES: LazyLock<Files> = LazyLock::new(make);
    FILES.clone()
}

fn make() -> Files {
    let (ours, theirs) = (authority("House"), authority("Elsewhere"));
    let (server, server_key) = signed(&ours, "localhost", &["localhost", "127.0.0.1"]);
    let (client, client_key) = signed(&ours, "anna", &[]);
    let (foreign, foreign_key) = signed(&theirs, "anna", &[]);
    let hashed = format!("authorities/{}.0", hash(&ours.pem()));
    vec![
        ("ca.pem", ours.pem()),
        (hashed.leak(), ours.pem()),
        ("server.pem", server),
        ("server.key", server_key),
        ("client.pem", client),
        ("client.key", client_key),
        ("foreign.pem", foreign),
        ("foreign.key", foreign_key),
        ("identity", "user anna\ntopic readwrite a/#\n".into()),
        ("subject", "user CN=anna,O=House\ntopic readwrite a/#\n".into()),
    ]
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
}

/// A certificate and its key, as PEM.
fn signed(authority: &CertifiedIssuer<'_, KeyPair>, name: &str, names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "House");
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    (certificate.pem(), key.serialize_pem())
}

/// The name under which OpenSSL looks for an authority in a folder.
fn hash(pem: &str) -> String {
    let path = crate::support::folder("mosquitto_authority").join("ca.pem");
    fs::write(&path, pem).expect("a writable folder for tests");
    let said = Command::new("openssl").args(["x509", "-hash", "-noout", "-in"]).arg(path).output();
    let said = said.expect("openssl has to be installed (Debian package openssl)");
    String::from_utf8(said.stdout).expect("UTF-8").trim().to_owned()
}

fn without_certificate(at: &mut Subject) -> Vec<String> {
    vec![knock(at, None, ALL)]
}

pub(super) fn with_certificates(at: &mut Subject) -> Vec<String> {
    vec![knock(at, Some("client"), ALL), knock(at, None, ALL), knock(at, Some("foreign"), ALL)]
}

/// What the user may do whom the certificate names.
pub(super) fn as_user(at: &mut Subject) -> Vec<String> {
    let mut seen = with_certificates(at);
    let mut client = dial(at, Some("client"), ALL);
    client.connect(Hello::new("a"));
    seen.push(client.subscribe("#", noctule_codec::QoS::AtLeastOnce));
    seen.push(client.publish("a/b", "1", noctule_codec::QoS::AtLeastOnce, false));
    seen.push(client.publish("b/a", "2", noctule_codec::QoS::AtLeastOnce, false));
    seen.extend(client.heard());
    seen
}

/// Two clients with one certificate are one client, whatever they call themselves.
fn same_certificate(at: &mut Subject) -> Vec<String> {
    let mut first = dial(at, Some("client"), ALL);
    let mut seen = vec![format!("the first is in: {}", first.connect(Hello::new("one")).is_in)];
    let mut second = dial(at, Some("client"), ALL);
    let hello = Hello { user_name: Some("berta"), ..Hello::new("two") };
    seen.push(format!("the second is in: {}", second.connect(hello).is_in));
    seen.push(format!("the first is closed: {}", first.is_closed()));
    seen
}

fn versions(at: &mut Subject) -> Vec<String> {
    vec![knock(at, None, &[&rustls::version::TLS12]), knock(at, None, &[&rustls::version::TLS13])]
}

fn knock(at: &Subject, certificate: Option<&str>, versions: &[&'static SupportedProtocolVersion]) -> String {
    let welcome = dial(at, certificate, versions).connect(Hello::new("a"));
    if welcome.is_in { "in".into() } else { "out".into() }
}

fn dial(at: &Subject, certificate: Option<&str>, versions: &[&'static SupportedProtocolVersion]) -> Client {
    let mut roots = RootCertStore::empty();
    roots.add(certificate_of(at, "ca")).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).expect("versions");
    let builder = builder.with_root_certificates(roots);
    let config = match certificate {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let key = PrivateKeyDer::from_pem_file(at.folder.join(format!("{name}.key"))).expect("a key");
            builder.with_client_auth_cert(vec![certificate_of(at, name)], key).expect("a pair")
        }
    };
    let host = "localhost".try_into().expect("a name");
    let client = ClientConnection::new(Arc::new(config), host).expect("a client");
    let socket = TcpStream::connect(at.address()).expect("the broker listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    Client::over(StreamOwned::new(client, socket))
}

fn certificate_of(at: &Subject, name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(at.folder.join(format!("{name}.pem"))).expect("a certificate")
}

const ALL: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12, &rustls::version::TLS13];

const PATIENCE: Duration = Duration::from_secs(15);
