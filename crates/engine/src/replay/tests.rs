//! Stories of records, and what is remembered of them.

use super::*;
use crate::record::testing::{publication, records};
use noctule_codec::{PacketId, QoS};
use noctule_session::{Owed, Session, Settlement, StoredWill, Subscription, SubscriptionIds};
use proptest::prelude::*;
use std::fmt::Write;

fn opened(session: u64) -> Record {
    Record::SessionOpened {
        session: SessionNumber(session),
        client_id: format!("c{session}").into(),
        user_name: None,
        origin: Box::default(),
    }
}

fn detached(session: u64) -> Record {
    Record::SessionDetached { session: SessionNumber(session), at: Instant::from_millis(0) }
}

fn ended(session: u64) -> Record {
    Record::SessionEnded { session: SessionNumber(session) }
}

fn id(packet_id: u16) -> PacketId {
    PacketId::new(packet_id).expect("not zero")
}

/// A publication that is owed to these sessions and groups.
fn published(number: u64, sessions: &[u64], groups: &[u64]) -> Record {
    Record::Published(Box::new(frame(publication(number), sessions, groups)))
}

fn frame(message: Publication, sessions: &[u64], groups: &[u64]) -> Frame {
    let target = |session: &u64| FrameTarget {
        session: SessionNumber(*session),
        qos: QoS::AtLeastOnce,
        retain: false,
        subscription_ids: SubscriptionIds::None,
    };
    Frame {
        message: message.into(),
        inbound: None,
        retained: false,
        will_of: None,
        owed: sessions.iter().map(target).collect(),
        groups: groups.iter().map(|group| GroupNumber(*group)).collect(),
    }
}

fn retained(number: u64, topic: &str, payload: &[u8]) -> Record {
    let message = Publication { topic: topic.into(), payload: payload.into(), ..publication(number) };
    Record::Published(Box::new(Frame { retained: true, ..frame(message, &[], &[]) }))
}

fn change(session: u64, change: SessionChange) -> Record {
    Record::Session { session: SessionNumber(session), change }
}

fn begun(session: u64, message: u64, packet_id: u16) -> Record {
    change(session, SessionChange::Begun { message: MessageNumber(message), packet_id: id(packet_id) })
}

fn received(session: u64, packet_id: u16) -> Record {
    change(session, SessionChange::Received { packet_id: id(packet_id) })
}

fn settled(session: u64, message: u64, packet_id: Option<u16>) -> Record {
    let (message, packet_id) = (MessageNumber(message), packet_id.map(id));
    change(session, SessionChange::Settled { message, packet_id, settlement: Settlement::Acknowledged })
}

fn delivered(message: u64, packet_id: Option<u16>, group: Option<u64>) -> Delivered {
    Delivered {
        number: MessageNumber(message),
        bytes: 130,
        qos: QoS::AtLeastOnce,
        retain: false,
        subscription_ids: SubscriptionIds::None,
        group: group.map(GroupNumber),
        phase: if packet_id.is_some() { Phase::Sent } else { Phase::Waiting },
        packet_id: packet_id.map(id),
        behind: None,
        is_maybe_sent: false,
    }
}

fn held(session: u64, delivered: Delivered, position: u64) -> Record {
    change(session, SessionChange::Held { delivered: Box::new(delivered), position: Position(position) })
}

/// A retained message that a subscription brings.
fn brought(session: u64, message: u64, position: u64) -> Record {
    held(session, Delivered { retain: true, ..delivered(message, None, None) }, position)
}

fn subscribed(session: u64, filter: &str, brings_retained: bool) -> Record {
    let subscription = Subscription::default();
    change(session, SessionChange::Subscribed { filter: filter.into(), subscription, brings_retained })
}

fn named(group: u64, filter: &str) -> Record {
    Record::GroupNamed { group: GroupNumber(group), share_name: "g".into(), filter: filter.into() }
}

fn taken(session: u64, message: u64, group: u64) -> Record {
    let delivered = delivered(message, None, Some(group));
    Record::GroupTaken { session: SessionNumber(session), delivered }
}

fn returned(message: u64, group: u64) -> Record {
    Record::GroupReturned { group: GroupNumber(group), message: MessageNumber(message) }
}

fn dropped(message: u64, group: u64) -> Record {
    Record::GroupDropped { group: GroupNumber(group), message: MessageNumber(message) }
}

fn group_owed(message: u64, group: u64) -> Record {
    Record::GroupOwed { group: GroupNumber(group), message: publication(message).into() }
}

/// Applies records that stand at 1, 2, 3 and so on.
fn remember(records: impl IntoIterator<Item = Record>) -> Remembered {
    remember_from(1, records)
}

fn remember_from(first: u64, records: impl IntoIterator<Item = Record>) -> Remembered {
    let mut replay = Replay::default();
    for (position, record) in (first..).zip(records) {
        replay.apply(Position(position), record);
    }
    replay.finish()
}

/// What sessions and groups are owed. A delivery is its message, `#` and its packet id if it was sent, `!` if PUBREC
/// came for it, `?` if it may have been sent, and `@` where its content is.
fn owed(remembered: &Remembered) -> String {
    let mut text = String::new();
    for session in &remembered.sessions {
        write!(text, "c{}:", session.session.number.0).expect("text grows");
        for owed in session.session.outbound.iter() {
            let packet_id = owed.packet_id().map_or(String::new(), |id| format!("#{}", id.get()));
            let received = if owed.phase() == Phase::Received { "!" } else { "" };
            let maybe = if owed.is_maybe_sent() { "?" } else { "" };
            let position = owed.position().0;
            write!(text, " {}{packet_id}{received}{maybe}@{position}", owed.number.0).expect("text grows");
        }
        text.push('\n');
    }
    for group in &remembered.groups {
        write!(text, "{}:", group.filter).expect("text grows");
        for (message, position) in &group.waiting {
            write!(text, " {}@{}", message.0, position.0).expect("text grows");
        }
        text.push('\n');
    }
    text
}

/// What it shows, its records, what is remembered.
type Story<T> = (&'static str, Vec<Record>, Vec<T>);

#[test]
fn what_is_owed_is_what_the_records_say() {
    let away = |session| [opened(session), detached(session)];
    let stories: Vec<(&str, Vec<Record>, &str)> = vec![
        (
            "a publication is owed to its sessions, at the position of its frame",
            [&away(1)[..], &away(2), &[published(7, &[1, 2], &[]), published(8, &[2], &[])]].concat(),
            "c1: 7@5\nc2: 7@5 8@6\n",
        ),
        (
            "what waits stands in the order of the numbers",
            [&away(1)[..], &[published(8, &[1], &[]), published(7, &[1], &[])]].concat(),
            "c1: 7@4 8@3\n",
        ),
        (
            "deliveries go through their phases",
            [
                &away(1)[..],
                &[published(7, &[1], &[]), published(8, &[1], &[]), published(9, &[1], &[])],
                &[begun(1, 7, 1), begun(1, 8, 2), received(1, 2), settled(1, 7, Some(1))],
            ]
            .concat(),
            "c1: 8#2!@4 9@5\n",
        ),
        (
            "what a home refused is not owed",
            [&away(1)[..], &[published(7, &[1], &[]), settled(1, 7, None)]].concat(),
            "c1:\n",
        ),
        ("what was connected may have been sent", vec![opened(1), published(7, &[1], &[])], "c1: 7?@2\n"),
        (
            "a session that has ended is not there, nor is what comes late for it",
            vec![opened(1), published(7, &[1], &[]), ended(1), published(8, &[1], &[]), begun(1, 7, 1)],
            "",
        ),
        ("a session that was never opened is not there", vec![published(7, &[1], &[]), detached(1)], ""),
        (
            "a session may be opened after it is told of, when its beginning was said again",
            vec![published(7, &[1], &[]), begun(1, 6, 1), opened(1), detached(1)],
            "c1: 7@1\n",
        ),
        (
            "a connection more changes nothing of what is owed",
            [&away(1)[..], &[published(7, &[1], &[]), opened(1), detached(1)]].concat(),
            "c1: 7@3\n",
        ),
        (
            "the later session of a client id stands beside the earlier one until that has ended",
            [&away(1)[..], &[published(7, &[1], &[])], &away(2), &[published(8, &[2], &[])]].concat(),
            "c1: 7@3\nc2: 8@6\n",
        ),
        (
            "a delivery said again is the same one, and its content is where it was moved",
            [&away(1)[..], &[published(7, &[1], &[]), held(1, delivered(7, None, None), 40)]].concat(),
            "c1: 7@40\n",
        ),
        (
            "a delivery said again as sent",
            [&away(1)[..], &[published(7, &[1], &[]), held(1, delivered(7, Some(3), None), 40)]].concat(),
            "c1: 7#3@40\n",
        ),
        (
            "what has no content anywhere cannot be sent",
            [&away(1)[..], &[published(8, &[1], &[]), brought(1, 7, 0), brought(1, 9, 30)]].concat(),
            "c1: 8@3 9@30\n",
        ),
        (
            "a group is owed until a member has settled it",
            [
                &[named(4, "f")][..],
                &away(1),
                &[published(7, &[], &[4]), published(8, &[], &[4]), published(9, &[], &[4])],
                &[taken(1, 7, 4), taken(1, 8, 4), begun(1, 7, 1), begun(1, 8, 2), settled(1, 8, Some(2))],
            ]
            .concat(),
            "c1: 7#1@4\nf: 9@6\n",
        ),
        (
            "a member that gives a message back does not hold it any more",
            [&[named(4, "f")][..], &away(1), &[published(7, &[], &[4]), taken(1, 7, 4), returned(7, 4)]]
                .concat(),
            "c1:\nf: 7@4\n",
        ),
        (
            "what a group gave up is not owed, whoever held it",
            [
                &[named(4, "f")][..],
                &away(1),
                &[published(7, &[], &[4]), published(8, &[], &[4])],
                &[taken(1, 7, 4), begun(1, 7, 1), dropped(7, 4), dropped(8, 4)],
            ]
            .concat(),
            "c1:\nf:\n",
        ),
        (
            "what a member held that has ended waits again, unless the group is done with it",
            vec![
                named(4, "f"),
                opened(1),
                published(7, &[], &[4]),
                published(8, &[], &[4]),
                taken(1, 7, 4),
                taken(1, 8, 4),
                dropped(8, 4),
                ended(1),
            ],
            "f: 7@3\n",
        ),
        (
            "what a member has settled is not owed again when the member ends",
            vec![
                named(4, "f"),
                opened(1),
                published(7, &[], &[4]),
                published(8, &[], &[4]),
                taken(1, 7, 4),
                taken(1, 8, 4),
                begun(1, 7, 1),
                settled(1, 7, Some(1)),
                settled(1, 8, None),
                ended(1),
            ],
            "f:\n",
        ),
        (
            "what was returned is taken by the next",
            [
                &[named(4, "f"), opened(1)][..],
                &away(2),
                &[published(7, &[], &[4]), taken(1, 7, 4), ended(1), returned(7, 4), taken(2, 7, 4)],
            ]
            .concat(),
            "c2: 7@5\nf:\n",
        ),
        (
            "a session that is owed a message itself and as a member is owed it twice",
            [
                &[named(4, "f")][..],
                &away(1),
                &[published(7, &[1], &[4]), taken(1, 7, 4), begun(1, 7, 1), returned(7, 4)],
            ]
            .concat(),
            "c1: 7#1@4\nf: 7@4\n",
        ),
        (
            "several numbers stand for one group",
            vec![
                named(4, "f"),
                published(7, &[], &[4]),
                published(8, &[], &[5]),
                named(5, "f"),
                published(9, &[], &[5]),
                dropped(7, 5),
            ],
            "f: 8@3 9@5\n",
        ),
        (
            "who holds a message is known, whichever of the numbers it is told under",
            [
                &[named(4, "f")][..],
                &away(1),
                &[published(7, &[], &[4]), taken(1, 7, 4), group_owed(7, 5), named(5, "f")],
            ]
            .concat(),
            "c1: 7@4\nf:\n",
        ),
        ("a group without a name is none", vec![published(7, &[], &[4])], ""),
        (
            "what a group is owed is said again with its content",
            vec![named(4, "f"), published(7, &[], &[4]), group_owed(7, 4), group_owed(6, 4)],
            "f: 6@4 7@3\n",
        ),
        (
            "what a member took before its beginning was said again",
            [
                &[taken(1, 7, 4), named(4, "f"), group_owed(7, 4)][..],
                &away(1),
                &[held(1, delivered(7, Some(2), Some(4)), 3)],
            ]
            .concat(),
            "c1: 7#2@3\nf:\n",
        ),
    ];
    for (story, records, expected) in stories {
        assert_eq!(owed(&remember(records)), expected, "{story}");
    }
}

#[test]
fn what_waits_is_still_owed_when_a_long_window_has_been_settled() {
    let published = (1..=101).map(|number| published(number, &[1], &[]));
    let begun = (1..=100).map(|number| begun(1, number, number as u16));
    let settled = (1..=100).map(|number| settled(1, number, Some(number as u16)));
    let records = [opened(1), detached(1)].into_iter().chain(published).chain(begun).chain(settled);
    assert_eq!(owed(&remember(records)), "c1: 101@103\n");
}

#[test]
fn retained_messages_are_the_last_ones_of_the_journal() {
    let again = |message| Record::Retained(publication(message).into());
    let stories: Vec<Story<(u64, &str, u64)>> = vec![
        (
            "one per topic",
            vec![retained(1, "a", b"m"), retained(2, "b", b"m")],
            vec![(1, "a", 1), (2, "b", 2)],
        ),
        ("replaced", vec![retained(1, "a", b"m"), retained(2, "a", b"m")], vec![(2, "a", 2)]),
        ("in the other order", vec![retained(2, "a", b"m"), retained(1, "a", b"m")], vec![(1, "a", 2)]),
        ("cleared", vec![retained(1, "a", b"m"), retained(2, "a", b"")], vec![]),
        ("set again", vec![retained(2, "a", b""), retained(1, "a", b"m")], vec![(1, "a", 2)]),
        ("said again", vec![retained(1, "t", b"m"), again(1)], vec![(1, "t", 2)]),
        ("not retained", vec![published(1, &[], &[])], vec![]),
    ];
    for (story, records, expected) in stories {
        let remembered = remember(records);
        for message in &remembered.retained {
            assert_eq!(message.place.get(), message.kept.get(), "{story}");
        }
        let found = remembered.retained.iter();
        let found = found.map(|message| (message.number.0, message.topic.as_str(), message.kept.get().0));
        assert_eq!(found.collect::<Vec<_>>(), expected, "{story}");
    }
}

/// The only session.
fn only(records: impl IntoIterator<Item = Record>) -> RememberedSession {
    let mut sessions = remember(records).sessions;
    assert_eq!(sessions.len(), 1);
    sessions.remove(0)
}

#[test]
fn a_session_is_connected_until_it_is_detached() {
    let at = Instant::from_millis(5);
    let detached = || Record::SessionDetached { session: SessionNumber(1), at };
    for (records, is_connected, detached_at) in [
        (vec![opened(1)], true, None),
        (vec![opened(1), detached()], false, Some(at)),
        (vec![opened(1), detached(), opened(1)], true, None),
    ] {
        let session = only(records);
        assert_eq!((session.is_connected, session.detached_at), (is_connected, detached_at));
    }
}

#[test]
fn who_opened_a_session_last_is_remembered() {
    let opened = |user_name: &str| Record::SessionOpened {
        session: SessionNumber(1),
        client_id: "c".into(),
        user_name: Some(user_name.into()),
        origin: Box::default(),
    };
    let session = only([opened("ann"), opened("bob")]);
    assert_eq!((session.user_name.as_deref(), &*session.session.client_id), (Some("bob"), "c"));
}

#[test]
fn what_waited_for_a_connected_client_may_have_been_sent() {
    let maybe = |behind: &[Record]| {
        let numbers = [7, 8].map(|number| published(number, &[1], &[]));
        let records = [&[opened(1)][..], &numbers, &[begun(1, 7, 1)], behind].concat();
        only(records).session.outbound.iter().map(Owed::is_maybe_sent).collect::<Vec<_>>()
    };
    assert_eq!(maybe(&[]), [false, true]);
    assert_eq!(maybe(&[detached(1)]), [false, false]);
}

#[test]
fn as_much_may_have_been_sent_as_there_are_reserved_packet_ids() {
    let published = (1..=2000).map(|number| published(number, &[1], &[]));
    let session = only([opened(1)].into_iter().chain(published)).session;
    assert_eq!(session.outbound.iter().filter(|owed| owed.is_maybe_sent()).count(), 1536);
}

#[test]
fn packet_ids_go_on_behind_the_reserved_ones() {
    let reserved = |up_to| change(1, SessionChange::IdsReserved { up_to: id(up_to) });
    for (up_to, next) in [(1024, 1025), (u16::MAX, 1)] {
        let session = only([opened(1), reserved(512), reserved(up_to)]).session;
        assert_eq!(session.outbound.free_packet_id(), Some(id(next)));
    }
    assert_eq!(only([opened(1)]).session.outbound.free_packet_id(), Some(id(1)));
}

#[test]
fn what_a_session_is_beside_its_deliveries_comes_back() {
    let inbound = |number, packet_id| {
        let inbound = Some((SessionNumber(1), id(packet_id)));
        Record::Published(Box::new(Frame { inbound, ..frame(publication(number), &[], &[]) }))
    };
    let will = Arc::new(StoredWill {
        topic: "w".into(),
        payload: b"gone".as_slice().into(),
        qos: QoS::AtLeastOnce,
        retain: true,
        delay_seconds: 3,
        message_expiry_interval: None,
        properties: noctule_codec::Properties::EMPTY,
    });
    let will_set = change(1, SessionChange::WillSet { will: Some(Arc::clone(&will)) });
    let expiry_set = change(1, SessionChange::ExpirySet { session_expiry_interval: 60 });
    let unsubscribed = change(1, SessionChange::Unsubscribed { filter: "a".into() });
    let released = change(1, SessionChange::InboundReleased { packet_id: id(4) });
    let records = vec![
        opened(1),
        will_set,
        expiry_set,
        subscribed(1, "a", false),
        subscribed(1, "b", false),
        unsubscribed,
        inbound(1, 4),
        inbound(2, 5),
        released,
    ];
    let session = only(records.clone()).session;
    assert_eq!(session.will, Some(will));
    assert_eq!(session.session_expiry_interval, 60);
    assert_eq!(session.subscriptions.filters().collect::<Vec<_>>(), ["b"]);
    assert!(session.inbound.contains(id(5)) && session.inbound.len() == 1);

    let will_of = Some(SessionNumber(1));
    let fired = Record::Published(Box::new(Frame { will_of, ..frame(publication(3), &[], &[]) }));
    let session = only(records.into_iter().chain([fired])).session;
    assert_eq!(session.will, None, "the frame that publishes a will ends it");
}

#[test]
fn a_subscription_brings_retained_messages_until_it_has() {
    let sent = |filter: &str| change(1, SessionChange::RetainedSent { filter: filter.into() });
    let unsubscribed = |filter: &str| change(1, SessionChange::Unsubscribed { filter: filter.into() });
    let open = |filter| subscribed(1, filter, true);
    let given = |filter: &str, messages: &[u64]| {
        let messages = messages.iter().copied().map(MessageNumber).collect();
        change(1, SessionChange::RetainedGiven { filter: filter.into(), messages })
    };
    let stories: Vec<Story<(&str, Vec<u64>)>> = vec![
        ("opened", vec![open("a")], vec![("a", vec![])]),
        ("not asked for", vec![subscribed(1, "a", false)], vec![]),
        ("done", vec![open("a"), brought(1, 7, 1), sent("a")], vec![]),
        ("unsubscribed", vec![open("a"), unsubscribed("a")], vec![]),
        ("in between", vec![open("a"), brought(1, 7, 1), brought(1, 8, 1)], vec![("a", vec![7, 8])]),
        ("anew", vec![open("a"), brought(1, 7, 1), open("a"), brought(1, 8, 1)], vec![("a", vec![8])]),
        ("replaced", vec![open("a"), brought(1, 7, 1), subscribed(1, "a", false)], vec![("a", vec![7])]),
        (
            "two of them",
            vec![open("a"), brought(1, 7, 1), open("b"), brought(1, 8, 1)],
            vec![("a", vec![7, 8]), ("b", vec![])],
        ),
        (
            "one after the other",
            vec![open("a"), open("b"), brought(1, 7, 1), sent("a"), brought(1, 8, 1)],
            vec![("b", vec![8])],
        ),
        (
            "said again",
            vec![subscribed(1, "b", false), given("a", &[7, 8]), given("b", &[]), brought(1, 9, 1)],
            vec![("a", vec![7, 8, 9]), ("b", vec![])],
        ),
        (
            "said again of what is known",
            vec![open("a"), brought(1, 7, 1), subscribed(1, "a", false), given("a", &[7]), given("a", &[8])],
            vec![("a", vec![7, 8])],
        ),
        ("said again and anew", vec![given("a", &[7, 8]), open("a")], vec![("a", vec![])]),
        (
            "the first one anew",
            vec![open("a"), open("b"), open("a"), sent("c"), brought(1, 8, 1)],
            vec![("b", vec![8]), ("a", vec![])],
        ),
        ("given before", vec![brought(1, 7, 1), open("a"), sent("a"), open("b")], vec![("b", vec![])]),
        (
            "what comes for another reason is not what it brings",
            vec![open("a"), published(7, &[1], &[]), held(1, delivered(8, None, None), 1)],
            vec![("a", vec![])],
        ),
    ];
    for (story, records, expected) in stories {
        let session = only([opened(1)].into_iter().chain(records));
        let phases = session.retained_phases.iter().map(|phase| {
            let given = (0..10).filter(|number| phase.given.contains(MessageNumber(*number)));
            (&*phase.filter, given.collect::<Vec<_>>())
        });
        assert_eq!(phases.collect::<Vec<_>>(), expected, "{story}");
    }
}

#[test]
fn numbers_and_times_go_on_behind_the_highest() {
    let numbers = |records: Vec<Record>| {
        let Remembered { last_message, last_session, last_group, latest, .. } = remember(records);
        (last_message, last_session, last_group, latest.as_millis())
    };
    let at = |number, millis| Publication {
        published_at: Instant::from_millis(millis),
        expires_at: Some(Instant::from_millis(99)),
        ..publication(number)
    };
    let (session, group) = (SessionNumber(3), GroupNumber(3));
    let will_of = Frame { will_of: Some(session), ..frame(at(1, 5), &[], &[]) };
    let inbound = Frame { inbound: Some((session, id(1))), ..frame(at(1, 5), &[], &[]) };
    let cases = vec![
        (Record::Published(Box::new(frame(at(2, 5), &[3], &[4]))), (2, 3, 4, 5)),
        (Record::Published(Box::new(will_of)), (1, 3, 0, 5)),
        (Record::Published(Box::new(inbound)), (1, 3, 0, 5)),
        (Record::Moved(at(2, 5).into()), (2, 0, 0, 5)),
        (Record::Retained(at(2, 5).into()), (2, 0, 0, 5)),
        (opened(3), (0, 3, 0, 0)),
        (Record::SessionDetached { session, at: Instant::from_millis(5) }, (0, 3, 0, 5)),
        (ended(3), (0, 3, 0, 0)),
        (begun(3, 2, 1), (2, 3, 0, 0)),
        (settled(3, 2, None), (2, 3, 0, 0)),
        (held(3, delivered(2, None, Some(4)), 1), (2, 3, 4, 0)),
        (named(4, "f"), (0, 0, 4, 0)),
        (Record::GroupOwed { group, message: at(2, 5).into() }, (2, 0, 3, 5)),
        (taken(3, 2, 4), (2, 3, 4, 0)),
        (returned(2, 4), (2, 0, 4, 0)),
        (dropped(2, 4), (2, 0, 4, 0)),
    ];
    for (record, expected) in cases {
        let shown = format!("{record:?}");
        assert_eq!(numbers(vec![record]), expected, "{shown}");
    }
    assert_eq!(numbers(vec![published(9, &[9], &[9]), published(3, &[3], &[3])]), (9, 9, 9, 9));
}

/// A step in the life of two sessions and of a group that the first one is a member of.
#[derive(Clone, Copy, Debug)]
enum Step {
    Publish { to_first: bool, to_second: bool, to_group: bool },
    Send(usize),
    Answer(usize, bool),
    Take,
    Return,
    Reconnect(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => any::<(bool, bool, bool)>()
            .prop_map(|(to_first, to_second, to_group)| Step::Publish { to_first, to_second, to_group }),
        4 => (0..2_usize).prop_map(Step::Send),
        3 => (0..2_usize, any::<bool>()).prop_map(|(session, is_over)| Step::Answer(session, is_over)),
        2 => Just(Step::Take),
        1 => Just(Step::Return),
        1 => (0..2_usize).prop_map(Step::Reconnect),
    ];
    prop::collection::vec(step, 0..60)
}

/// An engine of two sessions and a group, as far as its records go.
#[derive(Default)]
struct Model {
    sessions: [Vec<Held>; 2],
    group: Vec<(u64, u64)>,
    last_message: u64,
    last_id: u16,
    records: Vec<Record>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    message: u64,
    packet_id: Option<u16>,
    is_received: bool,
    is_shared: bool,
    position: u64,
}

impl Model {
    fn new() -> Self {
        let records = [opened(1), detached(1), opened(2), detached(2), named(4, "f")].to_vec();
        Self { records, ..Self::default() }
    }

    fn position(&self) -> u64 {
        self.records.len() as u64 + 1
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Publish { to_first, to_second, to_group } => self.publish([to_first, to_second], to_group),
            Step::Send(session) => self.send(session),
            Step::Answer(session, is_over) => self.answer(session, is_over),
            Step::Take => self.take_of_group(),
            Step::Return => self.give_back(),
            Step::Reconnect(session) => {
                let session = session as u64 + 1;
                self.records.extend([opened(session), detached(session)]);
            }
        }
    }

    fn publish(&mut self, to: [bool; 2], to_group: bool) {
        self.last_message += 1;
        let (message, position) = (self.last_message, self.position());
        let sessions: Vec<u64> = (1..=2).filter(|session| to[*session as usize - 1]).collect();
        for session in &sessions {
            let held = Held { message, packet_id: None, is_received: false, is_shared: false, position };
            self.sessions[*session as usize - 1].push(held);
        }
        self.group.extend(to_group.then_some((message, position)));
        self.records.push(published(message, &sessions, if to_group { &[4] } else { &[] }));
    }

    fn send(&mut self, session: usize) {
        let waiting = self.sessions[session].iter_mut().filter(|held| held.packet_id.is_none());
        // A message that is held twice is told apart by nothing while both wait.
        let Some(next) = waiting.min_by_key(|held| (held.message, held.is_shared)) else { return };
        self.last_id += 1;
        next.packet_id = Some(self.last_id);
        self.records.push(begun(session as u64 + 1, next.message, self.last_id));
    }

    fn answer(&mut self, session: usize, is_over: bool) {
        let number = session as u64 + 1;
        let Some(place) = self.sessions[session].iter().position(|held| held.packet_id.is_some()) else {
            return;
        };
        let Held { message, packet_id, .. } = self.sessions[session][place];
        if is_over {
            self.sessions[session].remove(place);
            self.records.push(settled(number, message, packet_id));
        } else {
            self.sessions[session][place].is_received = true;
            self.records.push(received(number, packet_id.expect("it was sent")));
        }
    }

    fn take_of_group(&mut self) {
        // A member takes what it can send at once.
        let is_waiting = self.sessions[0].iter().any(|held| held.packet_id.is_none());
        if is_waiting || self.group.is_empty() {
            return;
        }
        let (message, position) = self.group.remove(0);
        let held = Held { message, packet_id: None, is_received: false, is_shared: true, position };
        self.sessions[0].push(held);
        self.records.push(taken(1, message, 4));
        self.send(0);
    }

    fn give_back(&mut self) {
        let Some(place) = self.sessions[0].iter().position(|held| held.is_shared) else { return };
        let Held { message, position, .. } = self.sessions[0].remove(place);
        self.group.push((message, position));
        self.group.sort_unstable();
        self.records.push(returned(message, 4));
    }

    /// Says again what is there, as reclaim does, if everything before the record at `limit` is to go.
    fn say_again(&mut self, limit: u64) {
        self.records.extend([opened(1), detached(1), opened(2), detached(2), named(4, "f")]);
        for session in 0..2 {
            self.sessions[session].sort_by_key(Held::order);
            let mut sent_before = None;
            for place in 0..self.sessions[session].len() {
                let position = self.position();
                let held = &mut self.sessions[session][place];
                let behind = sent_before.filter(|_| held.packet_id.is_some());
                sent_before = held.packet_id;
                if held.position >= limit {
                    continue;
                }
                held.position = position;
                let moved = Record::Moved(publication(held.message).into());
                let held = held.record(session as u64 + 1, behind);
                self.records.extend([moved, held]);
            }
        }
        for place in 0..self.group.len() {
            let position = self.position();
            let (message, at) = &mut self.group[place];
            if *at < limit {
                *at = position;
                let record = group_owed(*message, 4);
                self.records.push(record);
            }
        }
    }

    fn owed(&self) -> String {
        let mut text = String::new();
        for (session, held) in self.sessions.iter().enumerate() {
            let mut held = held.clone();
            held.sort_by_key(Held::order);
            let owed = held.iter().map(|held| {
                let packet_id = held.packet_id.map_or(String::new(), |id| format!("#{id}"));
                let received = if held.is_received { "!" } else { "" };
                format!(" {}{packet_id}{received}@{}", held.message, held.position)
            });
            writeln!(text, "c{}:{}", session + 1, owed.collect::<String>()).expect("text grows");
        }
        let group = self.group.iter().map(|(message, position)| format!(" {message}@{position}"));
        writeln!(text, "f:{}", group.collect::<String>()).expect("text grows");
        text
    }
}

impl Held {
    /// What was sent in the order in which it was, then what waits.
    fn order(&self) -> (bool, Option<u16>, u64) {
        (self.packet_id.is_none(), self.packet_id, self.message)
    }

    fn record(&self, session: u64, behind: Option<u16>) -> Record {
        let delivered = delivered(self.message, self.packet_id, self.is_shared.then_some(4));
        let phase = if self.is_received { Phase::Received } else { delivered.phase };
        held(session, Delivered { phase, behind: behind.map(id), ..delivered }, self.position)
    }
}

proptest! {
    #[test]
    fn records_give_back_what_there_was(steps in steps()) {
        let mut model = Model::new();
        for step in steps {
            model.take(step);
        }
        let remembered = remember(model.records.clone());
        prop_assert_eq!(owed(&remembered), model.owed());
    }

    /// What was said again needs no beginning: the journal may begin anywhere before it.
    #[test]
    fn a_beginning_that_was_said_again_can_go(
        before in steps(),
        between in steps(),
        after in steps(),
        from in any::<prop::sample::Index>(),
    ) {
        let mut model = Model::new();
        before.into_iter().for_each(|step| model.take(step));
        let limit = from.index(model.records.len() + 1);
        between.into_iter().for_each(|step| model.take(step));
        model.say_again(limit as u64 + 1);
        after.into_iter().for_each(|step| model.take(step));
        let rest = model.records.split_off(limit);
        let remembered = remember_from(limit as u64 + 1, rest);
        prop_assert_eq!(owed(&remembered), model.owed());
    }

    #[test]
    fn records_in_any_order_are_applied(records in prop::collection::vec(records(), 0..60)) {
        let remembered = remember(records);
        for session in &remembered.sessions {
            let outbound = &session.session.outbound;
            let owed: Vec<_> = outbound.iter().map(|owed| (owed.number, owed.packet_id())).collect();
            prop_assert_eq!(owed.len(), outbound.len());
            prop_assert!(outbound.waiting_len() <= owed.len());
        }
    }
}

#[test]
fn a_session_starts_as_one_that_was_never_there() {
    let fresh = Session::new(SessionNumber(1), "c1".into());
    let session = only([opened(1)]).session;
    assert_eq!(format!("{session:?}"), format!("{fresh:?}"));
}
