'use strict';
// Cases for MQTT.js: `node cases.js --list` names them, `node cases.js NAME PORT` runs one.

const assert = require('node:assert/strict');
const { Peer, QUIET_MS, sleep, within } = require('./peer.js');

const cases = new Map();

function everyVersion(name, body) {
  for (const version of ['31', '311', '5']) {
    cases.set(`v${version}/${name}`, (port) => body((options) => Peer.connect(port, version, options), version));
  }
}

function v5(name, body) {
  cases.set(`v5/${name}`, (port) => body((options) => Peer.connect(port, '5', options), port));
}

const numbers = (count) => Array.from({ length: count }, (_, number) => String(number));
const killed = (topic, payload, more) => ({ will: { topic, payload: Buffer.from(payload), qos: 1, retain: false, ...more } });

// Every QoS arrives with the QoS it was sent with, as a first delivery and not flagged retained.
everyVersion('round_trip', async (connect) => {
  const [left, right] = [await connect(), await connect()];
  const granted = await left.subscribe({ 'a/#': { qos: 2 }, b: { qos: 1 } });
  assert.deepEqual(granted.map((grant) => [grant.topic, grant.qos]), [['a/#', 2], ['b', 1]], 'grants');
  for (const qos of [0, 1, 2]) {
    await right.publish('a/b', `qos ${qos}`, { qos });
    await left.untilCount(qos + 1);
  }
  const messages = await left.expect('qos 0', 'qos 1', 'qos 2');
  assert.deepEqual(messages.map(({ qos, dup, retain }) => [qos, dup, retain]),
    [[0, false, false], [1, false, false], [2, false, false]], 'QoS, DUP and retain');
  await left.end();
});

// 1,000 messages published at once arrive once each and in order.
everyVersion('thousand_in_order', async (connect) => {
  const [sub, pub] = [await connect(), await connect()];
  await sub.subscribe('load', { qos: 1 });
  await Promise.all(numbers(1000).map((number) => pub.publish('load', number)));
  await sub.expect(...numbers(1000));
});

// 3,000 messages published at once at QoS 2, more than most brokers allow: MQTT.js heeds no Receive Maximum, and its
// PUBRELs stand behind all of them.
everyVersion('burst_at_qos_2', async (connect) => {
  const [sub, pub] = [await connect(), await connect()];
  await sub.subscribe('load', { qos: 2 });
  await Promise.all(numbers(3000).map((number) => pub.publish('load', number, { qos: 2 })));
  await sub.expect(...numbers(3000));
});

// `mqtt.connect('ws://host:8083')`, with no path behind it.
everyVersion('websocket_without_a_path', async (connect) => {
  const peer = await connect({ protocol: 'ws', port: Number(new URL(process.env.BROKER_WS).port) });
  await peer.subscribe('w');
  await peer.publish('w', 'hello');
  await peer.expect('hello');
});

// Set, replaced, cleared.
everyVersion('retained', async (connect) => {
  const pub = await connect();
  await pub.publish('r', 'first', { qos: 1, retain: true });
  await pub.publish('r', 'second', { qos: 2, retain: true });
  const late = await connect();
  await late.subscribe('r');
  const [message] = await late.expect('second');
  assert.deepEqual([message.qos, message.retain], [2, true], 'QoS and retain');
  await pub.publish('r', '', { qos: 1, retain: true });
  const later = await connect();
  await later.subscribe('r');
  await later.expect();
});

// A broken connection leaves a will, an ended one does not.
everyVersion('will', async (connect) => {
  const watch = await connect();
  await watch.subscribe('will/#');
  await (await connect(killed('will/a', 'ended'))).end();
  await (await connect(killed('will/a', 'broken'))).cut();
  await watch.expect('broken');
});

// A durable client reconnects by itself and gets what came while it was away.
everyVersion('queue_while_away', async (connect, version) => {
  const durable = { clean: false, clientId: 'panel', resubscribe: false };
  if (version === '5') durable.properties = { sessionExpiryInterval: 3600 };
  const first = await connect(durable);
  await first.subscribe('s', { qos: 2 });
  await first.cut();
  const pub = await connect();
  for (const [index, number] of numbers(100).entries()) await pub.publish('s', number, { qos: 1 + index % 2 });
  const back = await connect(durable);
  await back.untilCount(100);
  await sleep(QUIET_MS);
  assert.deepEqual(back.payloads().map(Number).sort((a, b) => a - b).map(String), numbers(100), 'payloads');
  assert.equal(back.connacks[0].sessionPresent, version !== '31', 'session present');
  assert.ok(back.messages.every((message) => !message.dup), 'a first delivery is flagged DUP');
});

// A client without a session reconnects, subscribes again by itself and sends what it had queued.
everyVersion('reconnects_by_itself', async (connect) => {
  const peer = await connect({ reconnectPeriod: 50 });
  await peer.subscribe('s');
  await peer.cut();
  const queued = peer.publish('s', 'queued while away');
  await peer.until(() => peer.connacks.length === 2, 'the second CONNACK');
  await queued;
  await peer.publish('s', 'after the reconnect');
  await peer.until(() => peer.payloads().includes('after the reconnect'), 'a message after the reconnect');
});

// A publisher whose connection breaks in the middle of 200 messages gets all of them through.
everyVersion('publisher_reconnects', async (connect, version) => {
  const sub = await connect();
  await sub.subscribe('s');
  const durable = { clean: false, clientId: 'sensor', reconnectPeriod: 50 };
  if (version === '5') durable.properties = { sessionExpiryInterval: 3600 };
  const pub = await connect(durable);
  // When the lost packet was the PUBCOMP, the broker knows nothing of the PUBREL that comes again and may say
  // so with 0x92. That is no error after a reconnect, but MQTT.js reports it as one.
  const accept0x92 = (failure) => { if (failure.code !== 0x92) throw failure; };
  const sent = numbers(200).map((number) => pub.publish('s', number, { qos: 2 }).catch(accept0x92));
  await sub.untilCount(1);
  await pub.cut();
  await Promise.all(sent);
  await sub.untilCount(200);
  await sleep(QUIET_MS);
  assert.deepEqual(sub.payloads().map(Number).sort((a, b) => a - b).map(String), numbers(200), 'payloads');
});

// 2 MiB arrive byte for byte.
everyVersion('large_message', async (connect) => {
  const payload = Buffer.alloc(2 * 1024 * 1024, 'noctule ');
  const peer = await connect();
  await peer.subscribe('large');
  for (const qos of [0, 1, 2]) await peer.publish('large', payload, { qos });
  await peer.untilCount(3);
  for (const message of peer.messages) assert.ok(payload.equals(message.payload), 'other bytes arrived');
});

// After UNSUBACK nothing comes; 5.0 has a code for each filter.
everyVersion('unsubscribe', async (connect, version) => {
  const peer = await connect();
  await peer.subscribe(['a', 'b']);
  const unsuback = await within(peer.client.unsubscribeAsync(['a', 'never/there']), 'UNSUBACK');
  if (version === '5') assert.deepEqual(unsuback.granted, [0x00, 0x11], 'codes of UNSUBACK');
  await peer.publish('a', 'a');
  await peer.publish('b', 'b');
  await peer.expect('b');
});

// Pings are answered and keep the connection.
everyVersion('keep_alive', async (connect) => {
  const peer = await connect({ keepalive: 1, reschedulePings: false });
  await sleep(2500);
  assert.ok(peer.received.filter((packet) => packet.cmd === 'pingresp').length >= 2, 'too few PINGRESP');
  assert.ok(peer.client.connected, 'the connection is gone');
});

// The API with callbacks does what the one with promises does.
everyVersion('callback_api', async (connect) => {
  const peer = await connect();
  const done = new Promise((resolve, reject) => {
    peer.client.subscribe('c', { qos: 2 }, (refused) => {
      if (refused) return reject(refused);
      return peer.client.publish('c', 'called back', { qos: 2 }, (failed) => (failed ? reject(failed) : resolve()));
    });
  });
  await within(done, 'the last callback');
  await peer.expect('called back');
});

// Two members of a group share; each message once.
everyVersion('shared_subscription', async (connect) => {
  const members = [await connect(), await connect()];
  for (const member of members) await member.subscribe('$share/group/job/+', { qos: 1 });
  const pub = await connect();
  for (const number of numbers(40)) await pub.publish('job/a', number);
  await sleep(QUIET_MS);
  const arrived = members.map((member) => member.payloads());
  assert.deepEqual(arrived.flat().map(Number).sort((a, b) => a - b).map(String), numbers(40), 'messages of the group');
  assert.ok(arrived.every((part) => part.length > 0), `a member got nothing: ${arrived.map((part) => part.length)}`);
});

// All properties of a PUBLISH arrive.
v5('properties', async (connect) => {
  const sent = {
    payloadFormatIndicator: true, contentType: 'text/plain', responseTopic: 'answers/1',
    correlationData: Buffer.from([0, 1, 255]), userProperties: { b: ['1', '3'], a: '2' },
  };
  const peer = await connect();
  await peer.subscribe('p', { qos: 2, properties: { subscriptionIdentifier: 268_435_455 } });
  for (const qos of [0, 1, 2]) {
    await peer.publish('p', 'x', { qos, properties: { ...sent, messageExpiryInterval: 600 } });
  }
  for (const { properties } of await peer.expect('x', 'x', 'x')) {
    const { messageExpiryInterval, subscriptionIdentifier, ...others } = properties;
    assert.deepEqual({ ...others, userProperties: { ...others.userProperties } }, sent, 'properties');
    assert.ok(messageExpiryInterval > 590 && messageExpiryInterval <= 600, 'message expiry interval');
    assert.equal(subscriptionIdentifier, 268_435_455, 'subscription identifier');
  }
});

// Will properties arrive; a delayed will waits.
v5('will_properties', async (connect) => {
  const watch = await connect();
  await watch.subscribe('w');
  const properties = { willDelayInterval: 1, contentType: 'text/plain', userProperties: { a: '1' } };
  const dies = await connect({ ...killed('w', 'gone', { properties }), properties: { sessionExpiryInterval: 60 } });
  await dies.cut();
  await watch.expect();
  const [message] = await watch.expect('gone');
  assert.equal(message.properties.contentType, 'text/plain', 'content type');
  assert.deepEqual({ ...message.properties.userProperties }, { a: '1' }, 'user properties');
});

const TOPICS = ['t/one', 't/two', 't/three', 't/four', 't/five'];

async function publishTopics(connect, rounds) {
  const pub = await connect();
  for (let round = 0; round < rounds; round += 1) {
    for (const topic of TOPICS) await pub.publish(topic, topic);
  }
}

// With fewer aliases allowed than topics used, every message still has its topic.
v5('broker_aliases_resolve', async (connect) => {
  for (const topicAliasMaximum of [1, 3, 100]) {
    const sub = await connect({ properties: { topicAliasMaximum } });
    await sub.subscribe('t/#', { qos: 1 });
    await publishTopics(connect, 6);
    await sub.untilCount(30);
    assert.deepEqual(sub.messages.map((message) => message.topic), sub.payloads(), 'topics');
    const aliases = sub.received.map((packet) => packet.properties.topicAlias).filter((alias) => alias !== undefined);
    assert.ok(aliases.every((alias) => alias >= 1 && alias <= topicAliasMaximum), `aliases ${aliases}`);
    await sub.end();
  }
});

// A client that allows aliases gets them: the topic's text comes once.
v5('broker_uses_aliases', async (connect) => {
  const sub = await connect({ properties: { topicAliasMaximum: 10 } });
  await sub.subscribe('t/#', { qos: 1 });
  await publishTopics(connect, 4);
  await sub.untilCount(20);
  const spelled = sub.received.filter((packet) => packet.cmd === 'publish' && packet.topic !== '');
  assert.equal(spelled.length, TOPICS.length, 'messages that spell their topic');
});

// A client that says nothing about aliases never gets one.
v5('no_alias_when_not_allowed', async (connect) => {
  const sub = await connect();
  await sub.subscribe('t/#', { qos: 1 });
  await publishTopics((options) => connect({ ...options, autoAssignTopicAlias: true }), 4);
  await sub.untilCount(20);
  assert.deepEqual(sub.messages.map((message) => message.topic), sub.payloads(), 'topics');
  assert.ok(sub.received.every((packet) => packet.properties.topicAlias === undefined), 'an alias was sent');
});

// MQTT.js assigns aliases to its own topics and reuses them (LRU).
v5('client_assigns_aliases', async (connect) => {
  const sub = await connect();
  await sub.subscribe('t/#', { qos: 1 });
  const pub = await connect({ autoAssignTopicAlias: true });
  assert.ok(pub.connacks[0].properties.topicAliasMaximum > 0, 'the broker takes no aliases');
  const topics = Array.from({ length: 200 }, (_, number) => `t/${(number * 7) % 31}`);
  for (const topic of topics) await pub.publish(topic, topic);
  await sub.untilCount(200);
  assert.deepEqual(sub.messages.map((message) => message.topic), topics, 'topics');
});

// No Local, Retain As Published, Retain Handling.
v5('subscription_options', async (connect) => {
  const [peer, other] = [await connect(), await connect()];
  await other.publish('r', 'kept', { qos: 1, retain: true });
  await peer.subscribe('n', { qos: 1, nl: true });
  await peer.subscribe('r', { qos: 1, rap: true, rh: 2 });
  await peer.publish('n', 'own');
  await other.publish('n', 'other');
  await other.publish('r', 'flagged', { qos: 1, retain: true });
  await other.publish('r', 'plain');
  const messages = await peer.expect('other', 'flagged', 'plain');
  assert.deepEqual(messages.map((message) => message.retain), [false, true, false], 'retain');
  await peer.subscribe('r', { qos: 1, rh: 1 });
  await peer.expect('other', 'flagged', 'plain');
  await peer.subscribe('r', { qos: 1, rh: 0 });
  await peer.expect('other', 'flagged', 'plain', 'flagged');
});

// The first connection of a client id is told 0x8E.
v5('takeover', async (connect) => {
  const first = await connect({ clientId: 'panel' });
  await connect({ clientId: 'panel' });
  await first.until(() => first.received.some((packet) => packet.cmd === 'disconnect'), 'DISCONNECT');
  assert.equal(first.received.find((packet) => packet.cmd === 'disconnect').reasonCode, 0x8e, 'reason code');
});

// A session is there within its expiry interval and gone afterwards.
v5('session_expiry', async (connect) => {
  const durable = (clientId, sessionExpiryInterval) => ({ clientId, clean: false, properties: { sessionExpiryInterval } });
  await (await connect(durable('short', 1))).end();
  await (await connect(durable('long', 60))).end();
  await sleep(2000);
  assert.equal((await connect(durable('short', 1))).connacks[0].sessionPresent, false, 'session present of short');
  assert.equal((await connect(durable('long', 60))).connacks[0].sessionPresent, true, 'session present of long');
});

// With acknowledgements held back no more than Receive Maximum messages arrive; MQTT.js itself looks
// at a packet only when the one before is done with.
v5('receive_maximum', async (connect) => {
  const waiting = [];
  const customHandleAcks = (topic, message, packet, acknowledge) => { waiting.push(acknowledge); };
  const sub = await connect({ properties: { receiveMaximum: 3 }, customHandleAcks });
  const published = () => sub.received.filter((packet) => packet.cmd === 'publish').length;
  await sub.subscribe('s', { qos: 1 });
  const pub = await connect();
  for (const number of numbers(10)) await pub.publish('s', number);
  await sleep(QUIET_MS);
  assert.ok(published() >= 1 && published() <= 3, `${published()} deliveries before the first acknowledgement`);
  for (let acknowledged = 0; acknowledged < 10; acknowledged += 1) {
    await sub.until(() => waiting.length > acknowledged, `delivery number ${acknowledged + 1}`);
    waiting[acknowledged](null, 0);
  }
  await sub.expect(...numbers(10));
});

// A message that is too large for the subscriber is not sent to it.
v5('maximum_packet_size', async (connect) => {
  const sub = await connect({ properties: { maximumPacketSize: 100 } });
  await sub.subscribe('m');
  const pub = await connect();
  for (const qos of [0, 1, 2]) {
    await pub.publish('m', 'x'.repeat(200), { qos });
    await pub.publish('m', `small ${qos}`, { qos });
    await sub.untilCount(qos + 1);
  }
  await sub.expect('small 0', 'small 1', 'small 2');
});

// Acknowledgements carry reason codes that MQTT.js understands, with and without a subscriber.
v5('reason_codes', async (connect) => {
  const peer = await connect();
  await peer.publish('nobody', 'x', { qos: 1 });
  await peer.publish('nobody', 'x', { qos: 2 });
  const codes = peer.received.filter((packet) => ['puback', 'pubrec'].includes(packet.cmd));
  assert.equal(codes.length, 2, 'acknowledgements');
  assert.ok(codes.every((packet) => [0x00, 0x10].includes(packet.reasonCode ?? 0)), 'reason codes');
});

// A question finds its way back.
v5('request_response', async (connect) => {
  const [server, asks] = [await connect(), await connect()];
  server.client.on('message', (topic, payload, { properties }) => {
    server.client.publish(properties.responseTopic, `answer to ${payload}`,
      { qos: 1, properties: { correlationData: properties.correlationData } });
  });
  await server.subscribe('service', { qos: 1 });
  await asks.subscribe('answers/me', { qos: 1 });
  await asks.publish('service', 'one',
    { qos: 1, properties: { responseTopic: 'answers/me', correlationData: Buffer.from('17') } });
  const [message] = await asks.expect('answer to one');
  assert.equal(message.properties.correlationData.toString(), '17', 'correlation data');
});

// A client without an id is given one.
v5('assigned_client_identifier', async (connect) => {
  const peer = await connect({ clientId: '' });
  assert.ok(peer.connacks[0].properties.assignedClientIdentifier, 'no identifier in CONNACK');
});

// An authentication method the broker does not know is refused with 0x8C.
v5('authentication_method_refused', async (connect) => {
  const refused = connect({ properties: { authenticationMethod: 'none such', authenticationData: Buffer.from('x') } });
  await assert.rejects(refused, (error) => error.code === 0x8c, 'reason code of CONNACK');
});

async function main([name, port]) {
  if (name === '--list') {
    console.log([...cases.keys()].join('\n'));
    return 0;
  }
  try {
    await cases.get(name)(Number(port));
    return 0;
  } catch (failure) {
    const [first, ...rest] = String(failure.message).split('\n').filter((line) => line.trim());
    console.error(failure.stack);
    console.error([first, ...rest].slice(0, 12).join(' | '));
    return 1;
  }
}

// Clients still connected must not keep the program.
main(process.argv.slice(2)).then((code) => process.exit(code));
