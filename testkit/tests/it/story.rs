//! Stories in MQTT's words, told with clients that have a memory.

use noctule_codec::QoS;
use noctule_testkit::sim::World;

fn received(topic: &str, payload: &str) -> (String, String) {
    (topic.to_owned(), payload.to_owned())
}

#[test]
fn a_queued_message_waits_for_its_durable_subscriber() {
    let mut world = World::new(7);
    let panel = world.connect_durable("panel");
    let sensor = world.connect("sensor");
    world.subscribe(panel, "boiler/+", QoS::AtLeastOnce);
    world.cut(panel);

    world.publish(sensor, "boiler/temp", "81", QoS::AtLeastOnce);
    world.run_until_acked(sensor);
    assert_eq!(world.received(panel), []);

    let panel = world.resume("panel");
    assert_eq!(world.received(panel), [received("boiler/temp", "81")]);
}

#[test]
fn a_clean_session_forgets_what_it_was_owed() {
    let mut world = World::new(7);
    let panel = world.connect("panel");
    let sensor = world.connect("sensor");
    world.subscribe(panel, "boiler/+", QoS::AtLeastOnce);
    world.cut(panel);
    world.publish(sensor, "boiler/temp", "81", QoS::AtLeastOnce);
    world.run_until_acked(sensor);
    let panel = world.resume("panel");
    assert_eq!(world.received(panel), []);
}

#[test]
fn a_publication_without_a_connection_is_sent_by_the_next_one() {
    let mut world = World::new(7);
    let panel = world.connect("panel");
    world.subscribe(panel, "#", QoS::ExactlyOnce);
    let sensor = world.connect_durable("sensor");
    world.cut(sensor);
    for payload in ["1", "2", "3"] {
        world.publish(sensor, "count", payload, QoS::ExactlyOnce);
    }
    let sensor = world.resume("sensor");
    world.run_until_acked(sensor);
    let expected = ["1", "2", "3"].map(|payload| received("count", payload));
    assert_eq!(world.received(panel), expected);
}
