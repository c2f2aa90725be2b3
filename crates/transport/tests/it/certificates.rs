//! Certificates made for a test, and what is said about bad ones.

use std::path::Path;
use std::time::{Duration, SystemTime};

use noctule_transport::{Authorities, Certificate, CertificateError, PeerIdentity, Reason};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd};

/// An authority, and what it has signed.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A signed certificate with its key.
pub(crate) struct Signed {
    pub(crate) pem: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for these hosts.
    pub(crate) fn sign(&self, hosts: &[&str]) -> Signed {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        self.sign_params(&CertificateParams::new(hosts).expect("names"))
    }

    pub(crate) fn sign_params(&self, params: &CertificateParams) -> Signed {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Signed { pem: certificate.pem(), key: key.serialize_pem() }
    }

    pub(crate) fn authorities(&self) -> Authorities {
        Authorities::from_pem(Path::new("ca.pem"), self.pem.as_bytes(), SystemTime::now())
            .expect("an authority")
    }
}

impl Signed {
    pub(crate) fn certificate(&self) -> Certificate {
        load(&self.pem, &self.key).expect("a good certificate")
    }
}

fn load(chain: &str, key: &str) -> Result<Certificate, CertificateError> {
    load_at(chain, key, SystemTime::now())
}

fn load_at(chain: &str, key: &str, now: SystemTime) -> Result<Certificate, CertificateError> {
    let (chain_path, key_path) = (Path::new("server.pem"), Path::new("server.key"));
    Certificate::from_pem((chain_path, chain.as_bytes()), (key_path, key.as_bytes()), now)
}

#[test]
fn a_good_certificate_says_its_names_and_dates() {
    let authority = Authority::new("test");
    let mut params = CertificateParams::new(vec!["broker.lan".to_owned(), "*.iot.lan".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(2090, 1, 1);
    let signed = authority.sign_params(&params);
    let certificate = signed.certificate();
    assert_eq!(certificate.dns_names(), ["broker.lan", "*.iot.lan"]);
    let validity = certificate.validity();
    assert_eq!(validity.not_after().duration_since(validity.not_before()).unwrap().as_secs() % 86_400, 0);
    assert!(validity.to_string().contains("2090"), "{validity}");
}

#[test]
fn every_problem_names_its_file_and_what_to_do() {
    let authority = Authority::new("test");
    let (good, other) = (authority.sign(&["broker.lan"]), authority.sign(&["broker.lan"]));
    let broken = good.pem.replacen("-----END CERTIFICATE-----", "", 1);
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let no_kind = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let wrong_order = format!("{}{}", other.pem, good.pem);
    for (chain, key, said) in [
        ("", good.key.as_str(), "server.pem: holds no certificate; "),
        (&good.key, &good.key, "server.pem: holds no certificate; "),
        (&broken, &good.key, "server.pem: is not PEM as it should be: "),
        (garbage, &good.key, "server.pem: certificate 1 cannot be understood: "),
        (&good.pem, "", "server.key: holds no private key; "),
        (&good.pem, &good.pem, "server.key: holds no private key; "),
        (&good.pem, encrypted, "server.key: the private key is encrypted; "),
        (&good.pem, no_kind, "server.key: the private key is of no kind that is supported "),
        (
            &good.pem,
            &other.key,
            "server.key: the private key does not belong to the certificate in server.pem",
        ),
        (&wrong_order, &good.key, "server.pem: the server's own certificate must come first; "),
    ] {
        let error = load(chain, key).expect_err(said).to_string();
        assert!(error.starts_with(said), "{error:?} should begin {said:?}");
    }
}

#[test]
fn a_certificate_is_refused_outside_of_its_time() {
    let authority = Authority::new("test");
    let mut params = CertificateParams::new(vec!["broker.lan".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(2025, 1, 1);
    let signed = authority.sign_params(&params);
    let first = SystemTime::UNIX_EPOCH + Duration::from_secs(1_704_067_200);
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(1_735_689_600);
    let second = Duration::from_secs(1);
    let at = |now| load_at(&signed.pem, &signed.key, now).map(drop).map_err(|error| error.reason);
    assert!(matches!(at(first - second), Err(Reason::NotValidYet(_))));
    assert!(at(first).is_ok());
    assert!(at(last).is_ok());
    assert!(matches!(at(last + second), Err(Reason::Expired(_))));
    let error = load_at(&signed.pem, &signed.key, last + second).unwrap_err().to_string();
    assert!(error.contains("server.pem: the certificate has expired") && error.contains("2025"), "{error}");
}

#[test]
fn old_authorities_are_left_out_while_another_remains() {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_after = date_time_ymd(2000, 1, 1);
    params.not_before = date_time_ymd(1999, 1, 1);
    let old = params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
    let now = SystemTime::now();
    let error = Authorities::from_pem(Path::new("ca.pem"), old.as_bytes(), now).expect_err("expired");
    assert!(error.to_string().starts_with("ca.pem: the certificate has expired"), "{error}");
    let both = old + &Authority::new("new").pem;
    assert!(Authorities::from_pem(Path::new("ca.pem"), both.as_bytes(), now).is_ok());
}

#[test]
fn a_folder_stands_for_its_files_of_certificates() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("authorities");
    std::fs::create_dir_all(&folder).expect("a writable folder for tests");
    let (one, other) = (Authority::new("one").pem, Authority::new("other").pem);
    for (name, text) in [("a.pem", one.as_str()), ("5ed36f99.0", &other), ("notes.txt", "nothing")] {
        std::fs::write(folder.join(name), text).expect("a writable folder for tests");
    }
    let now = SystemTime::now();
    assert!(Authorities::load(&folder, now).is_ok());
    std::fs::write(folder.join("b.crt"), "nothing").expect("a writable folder for tests");
    assert!(
        Authorities::load(&folder, now).is_ok(),
        "a file without certificates takes none from the others"
    );
    std::fs::remove_file(folder.join("b.crt")).expect("it was there");
    std::fs::remove_file(folder.join("a.pem")).expect("it was there");
    std::fs::remove_file(folder.join("5ed36f99.0")).expect("it was there");
    let error = Authorities::load(&folder, now).expect_err("there is none").to_string();
    assert!(error.contains("authorities: holds no certificate"), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let path = Path::new("/nowhere/at/all.pem");
    let error = Certificate::load(path, path, SystemTime::now()).expect_err("no such file").to_string();
    assert!(error.starts_with("/nowhere/at/all.pem: cannot be read: "), "{error}");
    let error = Authorities::load(path, SystemTime::now()).expect_err("no such file").to_string();
    assert!(error.starts_with("/nowhere/at/all.pem: cannot be read: "), "{error}");
}

#[test]
fn a_peer_is_who_its_certificate_says() {
    let mut params = CertificateParams::new(vec!["sensor.lan".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "sensor-7");
    params.subject_alt_names.push(SanType::Rfc822Name("sensor@plant.example".try_into().unwrap()));
    params.subject_alt_names.push(SanType::URI("urn:dev:7".try_into().unwrap()));
    let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let identity = PeerIdentity::from_der(certificate.der()).unwrap();
    assert_eq!(identity.common_name.as_deref(), Some("sensor-7"));
    assert_eq!(identity.dns_names, ["sensor.lan"]);
    assert_eq!(identity.emails, ["sensor@plant.example"]);
    assert_eq!(identity.uris, ["urn:dev:7"]);
    assert_eq!(identity.fingerprint_hex().len(), 64);
}

#[test]
fn names_nobody_can_mean_are_left_out() {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "admin\0.evil");
    let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    assert_eq!(PeerIdentity::from_der(certificate.der()).unwrap().common_name, None);
    assert!(PeerIdentity::from_der(&certificate.der()[..40]).is_err());
}

#[test]
fn a_subject_is_written_with_its_last_name_first_and_nothing_in_it_can_pass_for_another() {
    let authority = Authority::new("test");
    let subject = |names: &[(DnType, &str)]| {
        let mut params = CertificateParams::new(vec!["10.1.2.3".to_owned(), "a.lan".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, name) in names {
            params.distinguished_name.push(kind.clone(), *name);
        }
        let signed = authority.sign_params(&params);
        let der = rustls_pki(&signed.pem);
        let identity = PeerIdentity::from_der(&der).expect("names");
        assert_eq!(identity.alternative_names().collect::<Vec<_>>(), ["a.lan", "10.1.2.3"]);
        identity.subject
    };
    use DnType::{CommonName, CountryName, OrganizationName};
    assert_eq!(subject(&[]), "");
    let names = [(CountryName, "DE"), (OrganizationName, "plant"), (CommonName, "sensor 7")];
    assert_eq!(subject(&names), "CN=sensor 7,O=plant,C=DE");
    assert_eq!(subject(&[(CommonName, "a,O=b")]), "CN=a\\,O=b");
    assert_eq!(subject(&[(CommonName, "#a+b\\\"<>; ")]), "CN=\\#a\\+b\\\\\\\"\\<\\>\\;\\ ");
}

/// The certificate inside of PEM.
fn rustls_pki(pem: &str) -> Vec<u8> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().as_ref().to_vec()
}
