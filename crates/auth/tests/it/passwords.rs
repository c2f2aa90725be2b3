//! Hashed passwords: published vectors, mosquitto's own, and what a hostile file may not ask for.

use noctule_auth::password::{HashError, PasswordHash, Scheme};
use noctule_auth::users::Users;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 9106, section 5.3. Secret and associated data are no part of a password file, so the library is asked itself.
#[test]
fn argon2id_gives_the_tag_of_rfc_9106() {
    let mut params = argon2::ParamsBuilder::new();
    params.m_cost(32).t_cost(3).p_cost(4).output_len(32);
    params.data(argon2::AssociatedData::new(&[4; 12]).expect("short"));
    let params = params.build().expect("valid");
    let (algorithm, version) = (argon2::Algorithm::Argon2id, argon2::Version::V0x13);
    let argon2 = argon2::Argon2::new_with_secret(&[3; 8], algorithm, version, params).expect("valid");
    let mut tag = [0; 32];
    argon2.hash_password_into(&[1; 32], &[2; 16], &mut tag).expect("valid");
    assert_eq!(hex(&tag), "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
}

/// From the tests of the reference implementation: password, salt, passes, KiB, lanes.
#[test]
fn argon2id_verifies_the_vectors_of_the_reference_implementation() {
    let cases = [
        ("password", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"),
        ("password", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"),
    ];
    for (password, text) in cases {
        let hash = PasswordHash::parse(text).expect(text);
        assert!(hash.verify(password.as_bytes()), "{text}");
        assert!(!hash.verify(b"Password") && !hash.verify(b""));
        assert_eq!(hash.to_string(), text);
        assert!(hash.needs_rehash(), "cheaper than ours");
    }
}

/// Made by `mosquitto_passwd` 2.0.11.
#[test]
fn the_passwords_of_mosquitto_verify() {
    let (users, errors) = Users::parse_mosquitto("passwd", include_str!("fixtures/mosquitto.passwd"));
    assert_eq!((errors, users.len()), (Vec::new(), 3));
    let cases = [("six", "first secret"), ("seven", "zweites Geheimnis"), ("with space", "pässword ☂")];
    for (name, password) in cases {
        let hash = users.get(name).and_then(|user| user.hash.clone()).expect(name);
        assert!(hash.verify(password.as_bytes()), "{name}");
        assert!(!hash.verify(password.to_uppercase().as_bytes()), "{name}");
        assert!(hash.needs_rehash());
        assert_eq!(PasswordHash::parse(&hash.to_string()).expect("our own text"), *hash);
    }
}

#[test]
fn what_is_hashed_verifies_and_is_read_again() {
    let mosquitto = [Scheme::Sha512, Scheme::Pbkdf2Sha512 { iterations: 101 }];
    for scheme in mosquitto {
        let hash = PasswordHash::with_scheme(scheme, b"secret", &[7; 12]).expect("valid");
        assert!(hash.verify(b"secret") && !hash.verify(b"secret2"), "{scheme:?}");
        assert_eq!(PasswordHash::parse(&hash.to_string()).as_ref(), Ok(&hash));
    }
    let hash = PasswordHash::new(b"secret", [7; 16]);
    assert!(hash.to_string().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    assert!(hash.verify(b"secret") && !hash.verify(b"secret2") && !hash.needs_rehash());
    assert_ne!(hash, PasswordHash::new(b"secret", [8; 16]));
}

#[test]
fn a_cheaper_or_older_hash_is_to_be_made_anew_and_an_equal_one_not() {
    let needs = |parameters: &str| {
        let text = format!("$argon2id${parameters}$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4");
        PasswordHash::parse(&text).expect(parameters).needs_rehash()
    };
    assert!(!needs("v=19$m=47104,t=1,p=1"), "mosquitto 2.1 asks for as much");
    assert!(!needs("v=19$m=65536,t=3,p=4"));
    assert!(needs("v=19$m=19456,t=1,p=1"));
    assert!(needs("v=16$m=65536,t=3,p=4"));
    assert!(needs("m=65536,t=3,p=4"), "without a version it is 16");
}

#[test]
fn no_file_can_ask_for_terabytes_or_hours() {
    let number = |name, min, max| HashError::Number { name, min, max };
    let memory = number("m (memory in KiB)", 8, 1 << 20);
    let argon2 = [
        ("m=4294967295,t=1,p=1", memory),
        ("m=1048577,t=1,p=1", memory),
        ("m=7,t=1,p=1", memory),
        ("m=19456,t=257,p=1", number("t (passes)", 1, 256)),
        ("m=19456,t=0,p=1", number("t (passes)", 1, 256)),
        ("m=1048576,t=5,p=1", HashError::Work),
        ("m=19456,t=1,p=65", number("p (lanes)", 1, 64)),
        ("m=16,t=1,p=3", number("p (lanes)", 1, 2)),
        ("m=99999999999,t=1,p=1", number("m (memory in KiB)", 1, u32::MAX)),
        ("m=+19456,t=1,p=1", number("m (memory in KiB)", 1, u32::MAX)),
        ("m=,t=1,p=1", number("m (memory in KiB)", 1, u32::MAX)),
        ("t=1,m=19456,p=1", HashError::Fields),
        ("m=19456,t=1", HashError::Fields),
        ("m=19456,t=1,p=1,x=2", HashError::Fields),
    ];
    for (parameters, expected) in argon2 {
        let text =
            format!("$argon2id$v=19${parameters}$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4");
        assert_eq!(PasswordHash::parse(&text).map(|_| ()), Err(expected), "{parameters}");
    }
    let iterations = number("iterations", 1, 4_000_000);
    for count in ["0", "4000001", "4294967295"] {
        let text = format!("$7${count}$AAAAAAAAAAAAAAAA${}", "A".repeat(86) + "==");
        assert_eq!(PasswordHash::parse(&text).map(|_| ()), Err(iterations), "{count}");
    }
    let hostile = Scheme::Argon2id { version: 19, memory_kib: u32::MAX, passes: 1, lanes: 1 };
    assert_eq!(PasswordHash::with_scheme(hostile, b"x", &[0; 16]).map(|_| ()), Err(memory));
}

#[test]
fn a_text_that_is_no_hash_is_refused_with_its_reason() {
    let hash64 = "A".repeat(86) + "==";
    let cases = [
        ("secret".to_owned(), HashError::UnknownScheme),
        (String::new(), HashError::UnknownScheme),
        ("$".to_owned(), HashError::UnknownScheme),
        ("$5$AAAAAAAAAAAAAAAA$AAAA".to_owned(), HashError::UnknownScheme),
        ("$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$AAAA".to_owned(), HashError::UnknownScheme),
        ("$6".to_owned(), HashError::Fields),
        ("$6$AAAAAAAAAAAAAAAA".to_owned(), HashError::Fields),
        (format!("$6$AAAAAAAAAAAAAAAA${hash64}$x"), HashError::Fields),
        (format!("$6$!!!!${hash64}"), HashError::Salt),
        (format!("$6$AAAA${hash64}"), HashError::Salt),
        (format!("$6${}${hash64}", "AAAA".repeat(22)), HashError::Salt),
        ("$6$AAAAAAAAAAAAAAAA$AAAA".to_owned(), HashError::Hash),
        ("$6$AAAAAAAAAAAAAAAA$A".to_owned(), HashError::Hash),
        ("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$AAAA".to_owned(), HashError::Hash),
        ("$argon2id$v=18$m=256,t=2,p=1$c29tZXNhbHQ$AAAA".to_owned(), HashError::Version),
    ];
    for (text, expected) in cases {
        assert_eq!(PasswordHash::parse(&text).map(|_| ()), Err(expected), "{text}");
    }
}

#[test]
fn nothing_of_a_hash_is_shown_for_debugging() {
    let hash = PasswordHash::with_scheme(Scheme::Sha512, b"secret", &[7; 12]).expect("valid");
    assert_eq!(format!("{hash:?}"), "PasswordHash { scheme: Sha512, .. }");
}
