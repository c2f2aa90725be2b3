//! Who takes part in a run, on which topics.
//!
//! Each publisher has topics of its own, so that the order of its publications is defined; each lane has a filter that
//! matches all of its publishers. All names carry the number of the run, so that runs do not meet.

use std::collections::BTreeMap;

use noctule_codec::{ProtocolVersion, Publish, QoS};

use super::books::Books;
use super::deliveries::{Class, Lane};
use super::inbox::Inbox;
use super::mark::Mark;
use super::outbox::Outbox;
use super::peer::{Part, Peer, Subscriber};
use super::verdict::Attendance;

/// The topics of a run.
#[derive(Clone, Debug)]
pub(crate) struct Topics {
    run: u32,
    /// The lane of each publisher, by its number.
    lanes: Vec<Lane>,
}

/// Everybody who takes part, with their accounts opened in the books; subscribers come first. Groups only with 5.0,
/// which is where the standard has them.
pub(crate) fn cast(version: ProtocolVersion, run: u32, books: &mut Books) -> (Vec<Peer>, Topics) {
    let mut topics = Topics { run, lanes: Vec::new() };
    let mut peers = Vec::new();
    let has_groups = version == ProtocolVersion::V5;
    for (qos, (attendance, count)) in with_each_qos(SUBSCRIBERS) {
        if has_groups || attendance != Attendance::Shared {
            peers.extend(subscribers(version, &topics, Class { attendance, qos }, count, books));
        }
    }
    peers.extend(bystanders(version, &topics));
    for (qos, (kind, topic_count)) in with_each_qos(PUBLISHERS) {
        let lane = kind(qos);
        if has_groups || !matches!(lane, Lane::Shared(_)) {
            peers.push(publisher(version, &mut topics, lane, topic_count, books));
        }
    }
    (peers, topics)
}

fn with_each_qos<T: Copy, const N: usize>(parts: [T; N]) -> impl Iterator<Item = (QoS, T)> {
    [QoS::AtLeastOnce, QoS::ExactlyOnce].into_iter().flat_map(move |qos| parts.map(|part| (qos, part)))
}

/// Those who neither publish nor are owed publications: who receives wills, who reads retained values, who has a will.
fn bystanders(version: ProtocolVersion, topics: &Topics) -> [Peer; 3] {
    [
        ("witness", Part::Witness(Inbox::new(version), topics.name("will/+"))),
        ("reader", Part::Reader(BTreeMap::new(), topics.name("retained/#"))),
        ("doomed", Part::Doomed { topic: String::new() }),
    ]
    .map(|(role, part)| Peer::new(topics.client_id(role), version, part))
}

fn subscribers(
    version: ProtocolVersion,
    topics: &Topics,
    class: Class,
    count: u32,
    books: &mut Books,
) -> Vec<Peer> {
    let is_group = class.attendance == Attendance::Shared;
    let group = is_group.then(|| books.deliveries.add_receiver(class));
    let mut subscriber = |number: u32| {
        let subscriber = Subscriber {
            inbox: Inbox::new(version),
            receiver: group.unwrap_or_else(|| books.deliveries.add_receiver(class)),
            attendance: class.attendance,
            qos: class.qos,
            filter: topics.filter(class.lane()),
            is_away_under_load: class.attendance == Attendance::Offline || is_group && number == 0,
        };
        let kind = format!("{:?}-{}-{number}", class.attendance, class.qos as u8).to_lowercase();
        Peer::new(topics.client_id(&kind), version, Part::Subscriber(subscriber))
    };
    (0..count).map(&mut subscriber).collect()
}

fn publisher(
    version: ProtocolVersion,
    topics: &mut Topics,
    lane: Lane,
    topic_count: u32,
    books: &mut Books,
) -> Peer {
    let number = books.deliveries.add_publisher(lane);
    topics.lanes.push(lane);
    let names = (0..topic_count).map(|topic| topics.topic(lane, number, topic)).collect();
    let outbox = Outbox::new(version, number, lane, names);
    Peer::new(topics.client_id(&format!("publisher-{number}")), version, Part::Publisher(outbox))
}

impl Topics {
    /// The topic of the will with this number.
    pub(crate) fn will(&self, number: u64) -> String {
        self.name(&format!("will/{number}"))
    }

    /// The number of the will on this topic.
    pub(crate) fn will_number(&self, topic: &str) -> Option<u64> {
        topic.strip_prefix(&self.name("will/"))?.parse().ok()
    }

    /// The client id of this run for a role, unique in the run.
    pub(crate) fn client_id(&self, role: &str) -> String {
        format!("prove-{:08x}-{role}", self.run)
    }

    /// The mark of a publication; none if its payload was changed or it is not on its topic.
    pub(crate) fn mark_of(&self, publish: &Publish<'_>) -> Option<Mark> {
        Mark::read(publish.payload).filter(|mark| self.is_of(publish.topic, mark))
    }

    /// A publisher of retained values.
    #[cfg(test)]
    pub(crate) fn retained_publisher(&self) -> u32 {
        let found = self.lanes.iter().position(|lane| matches!(lane, Lane::Retained(_)));
        found.expect("every cast has one") as u32
    }

    fn is_of(&self, topic: &str, mark: &Mark) -> bool {
        let lane = self.lanes.get(mark.publisher as usize);
        lane.is_some_and(|&lane| topic == self.topic(lane, mark.publisher, mark.topic))
    }

    fn topic(&self, lane: Lane, publisher: u32, topic: u32) -> String {
        self.name(&format!("{}/{publisher}/{topic}", folder(lane)))
    }

    fn filter(&self, lane: Lane) -> String {
        let filter = self.name(&format!("{}/#", folder(lane)));
        match lane {
            Lane::Shared(_) => format!("$share/prove/{filter}"),
            Lane::Plain(_) | Lane::Retained(_) => filter,
        }
    }

    fn name(&self, rest: &str) -> String {
        format!("prove/{:08x}/{rest}", self.run)
    }
}

/// All retained topics lie together, so that one subscription finds them.
fn folder(lane: Lane) -> String {
    match lane {
        Lane::Plain(qos) => format!("qos{}", qos as u8),
        Lane::Shared(qos) => format!("group{}", qos as u8),
        Lane::Retained(_) => "retained".to_owned(),
    }
}

/// A kind of lane, which becomes one with a QoS.
type LaneKind = fn(QoS) -> Lane;

/// The publishers of each QoS: their lanes, and how many topics each has.
const PUBLISHERS: [(LaneKind, u32); 4] =
    [(Lane::Plain, 2), (Lane::Plain, 2), (Lane::Shared, 2), (Lane::Retained, 8)];

/// The subscribers of each QoS; of those who share, how many members their group has.
const SUBSCRIBERS: [(Attendance, u32); 4] =
    [(Attendance::Online, 2), (Attendance::Slow, 1), (Attendance::Offline, 2), (Attendance::Shared, 3)];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn everybody_has_a_name_of_their_own_and_groups_need_5_0() {
        for (version, publishers, classes) in [(ProtocolVersion::V3_1_1, 6, 6), (ProtocolVersion::V5, 8, 8)] {
            let mut books = Books::default();
            let (peers, topics) = cast(version, 0xBA7, &mut books);
            let names: HashSet<&str> = peers.iter().map(|peer| peer.client_id.as_str()).collect();
            assert_eq!(names.len(), peers.len());
            assert_eq!(topics.lanes.len(), publishers);
            assert_eq!(books.deliveries.verdicts().len(), classes);
        }
    }

    #[test]
    fn a_group_is_one_receiver_with_a_member_that_is_away() {
        let (peers, _) = cast(ProtocolVersion::V5, 1, &mut Books::default());
        let members: Vec<(usize, bool)> = peers
            .iter()
            .filter_map(|peer| match &peer.part {
                Part::Subscriber(subscriber) if subscriber.filter.ends_with("group1/#") => {
                    assert_eq!(subscriber.filter, "$share/prove/prove/00000001/group1/#");
                    Some((subscriber.receiver, subscriber.is_away_under_load))
                }
                _ => None,
            })
            .collect();
        let receiver = members[0].0;
        assert_eq!(members, [(receiver, true), (receiver, false), (receiver, false)]);
    }

    #[test]
    fn a_mark_belongs_on_one_topic() {
        let (_, topics) = cast(ProtocolVersion::V5, 1, &mut Books::default());
        let mark = Mark { publisher: 0, topic: 1, sequence: 5 };
        assert!(topics.is_of("prove/00000001/qos1/0/1", &mark));
        for foreign in ["prove/00000001/qos1/0/0", "prove/00000001/qos2/0/1", "prove/00000002/qos1/0/1", ""] {
            assert!(!topics.is_of(foreign, &mark), "{foreign}");
        }
        assert!(!topics.is_of("prove/00000001/qos1/99/1", &Mark { publisher: 99, ..mark }));
    }

    #[test]
    fn wills_are_known_by_their_topic() {
        let (_, topics) = cast(ProtocolVersion::V5, 1, &mut Books::default());
        assert_eq!(topics.will_number(&topics.will(7)), Some(7));
        assert_eq!(topics.will_number("prove/00000001/will/x"), None);
    }
}
