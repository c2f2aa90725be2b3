'use strict';
// What a page does with MQTT.js: the page's address says where (`#ws://HOST:PORT/mqtt`), and how it went is posted back.

const WAIT_MS = 10_000;
const VERSIONS = {
  3.1: { protocolVersion: 3, protocolId: 'MQIsdp' },
  '3.1.1': { protocolVersion: 4 },
  '5.0': { protocolVersion: 5 },
};
// Around the borders of one frame length and the next, and of the buffers in between.
const SIZES = [0, 125, 126, 65_535, 65_536, 200_000, 5_000_000];

function within(promise, what) {
  const late = new Promise((_, reject) => { setTimeout(() => reject(new Error(`${what} did not come`)), WAIT_MS); });
  return Promise.race([promise, late]);
}

function expect(found, expected, what) {
  if (String(found) !== String(expected)) throw new Error(`${what}: found ${found}, expected ${expected}`);
}

function connect(url, options) {
  return within(mqtt.connectAsync(url, { reconnectPeriod: 0, connectTimeout: WAIT_MS, ...options }, false), 'CONNACK');
}

// The next message with this topic.
function heard(client, topic) {
  return within(new Promise((resolve) => {
    client.on('message', function take(name, payload, packet) {
      if (name !== topic) return;
      client.removeListener('message', take);
      resolve({ payload, packet });
    });
  }), `the message to ${topic}`);
}

const pattern = (size) => Uint8Array.from({ length: size }, (_, index) => (index * 31 + (index >> 8)) & 0xff);
const isEqual = (left, right) => left.length === right.length && left.every((byte, index) => byte === right[index]);

async function converse(url, options) {
  const [left, right] = [await connect(url, options), await connect(url, options)];
  const [grant] = await within(left.subscribeAsync('page/#', { qos: 2 }), 'SUBACK');
  expect(grant.qos, 2, 'granted QoS');
  for (const qos of [0, 1, 2]) {
    const message = heard(left, 'page/qos');
    await within(right.publishAsync('page/qos', `qos ${qos}`, { qos }), 'the acknowledgement');
    const { payload, packet } = await message;
    expect(payload, `qos ${qos}`, 'payload');
    expect(packet.qos, qos, 'QoS');
  }
  for (const size of SIZES) {
    const [sent, message] = [pattern(size), heard(left, 'page/size')];
    await within(right.publishAsync('page/size', mqtt.Buffer ? mqtt.Buffer.from(sent) : sent, { qos: 1 }),
      `the acknowledgement of ${size} bytes`);
    expect(isEqual((await message).payload, sent), true, `${size} bytes as they were sent`);
  }
  await within(Promise.all([left.endAsync(), right.endAsync()]), 'the end');
}

async function all(url) {
  for (const [version, options] of Object.entries(VERSIONS)) {
    try {
      await converse(url, options);
    } catch (error) {
      return `${version}: ${error.message || error}`;
    }
  }
  return 'ok';
}

all(location.hash.slice(1)).then((said) => fetch('/said', { method: 'POST', body: said }));
