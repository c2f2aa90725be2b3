//! The trial against a broker that is killed and comes back: right, or with one fault. Real processes, real kills.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use noctule_probe::{
    Attendance, BrokerCommand, ClassVerdict, Proof, ProtocolVersion, ProveError, ProveOptions, Watch, prove,
};

/// A short trial of the fake broker with this fault.
fn options(fault: &str) -> ProveOptions {
    let words = [env!("CARGO_BIN_EXE_fake-durable-broker"), "{port}", "{dir}", fault];
    let broker =
        BrokerCommand { name: "fake".to_owned(), words: words.map(str::to_owned).to_vec(), config: None };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("prove-{fault}"));
    let mut options = ProveOptions::new(broker, folder, 20);
    options.rounds = 2;
    options.load = Duration::from_millis(200);
    // What is lost is waited for in every round; what is only late on a busy machine is to be waited for.
    let is_waited_for_in_vain = ["lose", "older", "forget", "mute"].contains(&fault);
    options.patience = Duration::from_millis(if is_waited_for_in_vain { 800 } else { 3_000 });
    options.rate = 800;
    options
}

fn run(options: &ProveOptions) -> Result<Proof, ProveError> {
    prove(options, Watch { lines: &mut io::sink(), interrupted: &AtomicBool::new(false) })
}

fn proof(fault: &str) -> Proof {
    run(&options(fault)).unwrap_or_else(|error| panic!("{fault}: {error}"))
}

/// The report says this in text, and JSON has a value that is not 0 or null at this place.
fn assert_says(proof: &Proof, text: &str, pointer: &str) {
    let (shown, json) = (proof.to_string(), serde_json::to_value(proof).expect("JSON"));
    assert!(shown.contains(text), "{text:?} is missing in:\n{shown}");
    let value = json.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is missing in {json}"));
    assert!(!value.is_null() && *value != 0, "{pointer} in {json}");
    assert_eq!(json["is_durable"], false);
}

fn classes(proof: &Proof, is_meant: impl Fn(&ClassVerdict) -> bool) -> Vec<&ClassVerdict> {
    let found: Vec<_> = proof.classes.iter().filter(|class| is_meant(class)).collect();
    assert!(!found.is_empty(), "{proof}");
    found
}

fn offline(proof: &Proof) -> Vec<&ClassVerdict> {
    classes(proof, |class| class.attendance == Attendance::Offline)
}

#[test]
fn a_broker_that_keeps_its_promises_is_durable() {
    for (version, class_count) in [(ProtocolVersion::V5, 8), (ProtocolVersion::V3_1_1, 6)] {
        let mut options = options("none");
        options.version = version;
        options.data_dir.push(class_count.to_string());
        options.rounds = 4;
        let proof = run(&options).expect("a trial");
        assert!(proof.is_durable, "{proof}");
        assert!(proof.to_string().contains("KEPT: nothing that was acknowledged was lost"), "{proof}");
        assert_eq!((proof.classes.len(), proof.rounds), (class_count, 4));
        for class in &proof.classes {
            assert!(class.acknowledged > 0 && class.received >= class.acknowledged, "{proof}");
            assert_eq!((class.lost, class.doubled_faults(), class.out_of_order), (0, 0, 0), "{proof}");
        }
        assert!(proof.retained.owed > 0 && proof.retained.right == proof.retained.owed, "{proof}");
        assert!(proof.sessions.owed > 0 && proof.sessions.forgotten == 0, "{proof}");
        assert!(proof.subscriptions.owed > 0 && proof.subscriptions.silent == 0, "{proof}");
        assert_eq!((proof.wills.due, proof.wills.published, proof.wills.repeated), (4, 4, 0), "{proof}");
        assert!(
            proof.violations.is_empty() && proof.disconnects.is_empty() && proof.notes.is_empty(),
            "{proof}"
        );
        assert_eq!(proof.kills.under_load, 4);
        assert!(proof.resumed.publishes > 0 && proof.resumed.abandoned == 0, "{proof}");
    }
}

#[test]
fn what_is_acknowledged_and_gone_after_a_restart_is_lost() {
    let proof = proof("lose");
    for class in offline(&proof) {
        assert!(class.lost > 0 && class.lost < class.acknowledged / 5, "{proof}");
        assert!(class.lost_age_max_ms.is_some(), "{proof}");
    }
    // It had come before the kill, and nothing else is wrong.
    assert!(
        classes(&proof, |class| class.attendance == Attendance::Online).iter().all(|class| class.lost == 0)
    );
    assert_eq!(
        (proof.doubled_faults(), proof.sessions.forgotten, proof.retained.older),
        (0, 0, 0),
        "{proof}"
    );
    assert_says(&proof, "acknowledged copies lost", "/classes/2/lost");
}

#[test]
fn what_comes_again_at_qos_2_is_doubled() {
    let proof = proof("double");
    for class in classes(&proof, |class| class.attendance != Attendance::Shared) {
        assert_eq!(class.doubled_faults() > 0, class.qos == 2, "{proof}");
    }
    assert_eq!((proof.lost(), proof.sessions.forgotten, proof.retained.older), (0, 0, 0), "{proof}");
    assert_says(&proof, "copies doubled at QoS 2", "/classes/4/doubled");
}

#[test]
fn a_session_that_is_gone_is_forgotten() {
    let proof = proof("forget");
    let restarts = u64::from(proof.restarts.count);
    assert!(proof.sessions.forgotten > 0 && proof.sessions.forgotten <= restarts, "{proof}");
    assert_eq!((proof.doubled_faults(), proof.retained.older), (0, 0), "{proof}");
    assert!(offline(&proof).iter().all(|class| class.lost == 0), "{proof}");
    assert_says(&proof, "sessions forgotten", "/sessions/forgotten");
}

#[test]
fn a_retained_value_from_before_the_last_acknowledgement_is_older() {
    let proof = proof("older");
    assert!(proof.retained.older > 0 && proof.retained.gone == 0, "{proof}");
    assert_eq!((proof.lost(), proof.doubled_faults(), proof.sessions.forgotten), (0, 0, 0), "{proof}");
    assert_says(&proof, "retained values older or gone", "/retained/older");
}

#[test]
fn a_broker_that_does_not_start_again_has_lost_what_it_owed() {
    let proof = proof("stay-down");
    assert_eq!((proof.rounds, proof.rounds_asked, proof.restarts.count), (1, 2, 0), "{proof}");
    assert!(offline(&proof).iter().all(|class| class.lost == class.acknowledged), "{proof}");
    assert_says(&proof, "After a kill the broker did not serve again", "/never_returned");
}

#[test]
fn a_broker_that_ends_by_itself_is_started_again_and_judged_alike() {
    let proof = proof("faint");
    assert!(proof.is_durable && proof.rounds == 2, "{proof}");
    assert!(proof.notes.iter().any(|note| note.what.contains("ended by itself: exit status: 5")), "{proof}");
}

#[test]
fn a_broker_that_promises_nothing_proves_nothing() {
    let text = run(&options("mute")).expect_err("nothing is acknowledged").to_string();
    assert!(text.contains("acknowledged no publication"), "{text}");
}

#[test]
fn a_broker_that_does_not_start_is_no_proof_and_leaves_its_last_words() {
    let mut options = options("none");
    options.broker = BrokerCommand::parse("sh -c 'echo no disk {port}; exit 4'").expect("a command");
    options.data_dir.push("no-start");
    let text = run(&options).expect_err("it exits").to_string();
    assert!(text.contains("exit status: 4") && text.contains("no disk"), "{text}");
}

#[test]
fn the_folder_is_removed_unless_it_is_to_be_kept_and_an_interrupt_ends_the_trial() {
    for keep in [false, true] {
        let mut options = options("none");
        options.keep = keep;
        options.data_dir.push(format!("keep-{keep}"));
        let _ = std::fs::remove_dir_all(&options.data_dir);
        let interrupted = AtomicBool::new(true);
        let ended = prove(&options, Watch { lines: &mut io::sink(), interrupted: &interrupted });
        assert!(matches!(ended, Err(ProveError::Interrupted)));
        let left: Vec<PathBuf> = std::fs::read_dir(&options.data_dir)
            .expect("the folder around it")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        assert_eq!(left.len(), usize::from(keep), "{left:?}");
    }
}

#[test]
fn each_round_has_a_line() {
    let mut options = options("none");
    options.data_dir.push("lines");
    let mut lines = Vec::new();
    prove(&options, Watch { lines: &mut lines, interrupted: &AtomicBool::new(false) }).expect("a trial");
    let lines = String::from_utf8(lines).expect("UTF-8");
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(lines.starts_with("round 1 of 2: ") && lines.contains(" 0 missing so far"), "{lines}");
}
