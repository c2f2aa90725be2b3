//! What is wrong with the certificates and keys that a configuration names, each with the place that names it.

use std::time::SystemTime;

use super::load::Loaded;
use super::{ListenerConfig, Place, Problem};
use crate::tls_files::{About, TlsFiles, TlsProblem};

/// Reads every file of certificates and keys, and says what is wrong with them at the time `now`.
pub(super) fn check_certificates(loaded: &Loaded, now: SystemTime) -> Vec<Problem> {
    let mut problems: Vec<Problem> = Vec::new();
    for (index, listener) in loaded.config.listeners().enumerate() {
        if !listener.url().scheme().is_tls() {
            continue;
        }
        for problem in TlsFiles::load(&listener, now).err().into_iter().flatten() {
            let problem = located(&problem, &listener, index, loaded);
            // Listeners without tables share their files.
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    problems
}

/// A problem of the listener with this index, where it was made.
fn located(problem: &TlsProblem, listener: &ListenerConfig, index: usize, loaded: &Loaded) -> Problem {
    let (key, element) = match problem.about {
        About::Url => ("url", None),
        About::Certificate(element) => ("certificate", element),
        About::Key(element) => ("key", Some(element)),
        About::ClientCertificates => ("client_certificates", None),
        About::ClientCa => ("client_ca", None),
    };
    let plain = &loaded.config.listen;
    let url = plain.iter().position(|url| url == listener.url());
    // In its table, or for all listeners.
    let candidates = [
        (index.checked_sub(plain.len()), format!("listener.{key}"), element),
        (None, format!("tls.{key}"), element),
        (None, "listen".into(), url),
    ];
    let found = candidates
        .iter()
        .find_map(|(table, key, element)| Some((key.as_str(), loaded.places.get(*table, key, *element)?)));
    let nowhere = Place::WholeFile(loaded.file.clone().unwrap_or_default());
    let (key, place) = found.unwrap_or(("tls", &nowhere));
    let message = match place.names_the_key() {
        true => problem.cause.to_string(),
        false => format!("{key}: {}", problem.cause),
    };
    Problem { place: place.clone(), message }
}
