//! The mailbox between threads, played with loom in every order that matters.

#[path = "../../src/mailbox.rs"]
mod subject;

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use std::collections::VecDeque;
use subject::{Mailbox, Wake};

/// Like the waker of a readiness loop: a wake that comes before the wait ends it.
#[derive(Default)]
struct Bell {
    rung: Mutex<Rung>,
    rings: Condvar,
}

#[derive(Default)]
struct Rung {
    is_pending: bool,
    times: usize,
}

impl Wake for Arc<Bell> {
    fn wake(&self) {
        let mut rung = self.rung.lock().expect("nobody panics");
        rung.is_pending = true;
        rung.times += 1;
        self.rings.notify_one();
    }
}

impl Bell {
    fn wait(&self) {
        let mut rung = self.rung.lock().expect("nobody panics");
        while !rung.is_pending {
            rung = self.rings.wait(rung).expect("nobody panics");
        }
        rung.is_pending = false;
    }

    fn times(&self) -> usize {
        self.rung.lock().expect("nobody panics").times
    }
}

/// Whatever the order: the owner gets everything, what one sender put stays in order, and nobody waits for ever,
/// which loom would report as a deadlock.
#[test]
fn every_parcel_arrives_in_order_and_nobody_sleeps_over_it() {
    // Threads are interrupted twice at most, which is enough to show any two of them at odds.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let bell = Arc::new(Bell::default());
        let mailbox = Arc::new(Mailbox::new(Arc::clone(&bell)));
        let senders = [10, 20].map(|first| {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || {
                mailbox.put([first]);
                mailbox.put([first + 1]);
            })
        });
        let mut got = Vec::new();
        let mut taken = VecDeque::new();
        while got.len() < 4 {
            mailbox.take(&mut taken);
            got.extend(taken.drain(..));
            if got.len() < 4 && mailbox.fall_asleep() {
                bell.wait();
                mailbox.wake_up();
            }
        }
        for (sender, first) in senders.into_iter().zip([10, 20]) {
            let of_one: Vec<i32> = got.iter().copied().filter(|parcel| parcel / 10 * 10 == first).collect();
            assert_eq!(of_one, [first, first + 1]);
            sender.join().expect("nobody panics");
        }
    });
}

#[test]
fn only_who_sleeps_is_woken_and_only_once() {
    loom::model(|| {
        let bell = Arc::new(Bell::default());
        let mailbox = Mailbox::new(Arc::clone(&bell));
        mailbox.put([1]);
        assert_eq!(bell.times(), 0, "its owner is awake");
        assert!(!mailbox.fall_asleep(), "there is something to do");
        let mut taken = VecDeque::from([0]);
        mailbox.take(&mut taken);
        assert_eq!(taken, [0, 1]);
        assert!(mailbox.fall_asleep());
        mailbox.put([2]);
        mailbox.put([3]);
        assert_eq!(bell.times(), 1);
        mailbox.wake_up();
        taken.clear();
        mailbox.take(&mut taken);
        assert_eq!(taken, [2, 3]);
    });
}
