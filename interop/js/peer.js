'use strict';
// An MQTT.js client whose events a case can wait for, and the checks cases are made of.

const assert = require('node:assert/strict');
const { setTimeout: sleep } = require('node:timers/promises');
const mqtt = require('mqtt');

const WAIT_MS = 15_000;
const QUIET_MS = 400;

// What MQTT.js calls the versions.
const PROTOCOLS = {
  31: { protocolId: 'MQIsdp', protocolVersion: 3 },
  311: { protocolId: 'MQTT', protocolVersion: 4 },
  5: { protocolId: 'MQTT', protocolVersion: 5 },
};

class Peer {
  // Connects and returns when the CONNACK has come. Reconnects only when `reconnectPeriod` is given.
  static async connect(port, version, options = {}) {
    const peer = new Peer(port, version, options);
    await peer.until(() => peer.connacks.length > 0, 'CONNACK');
    return peer;
  }

  constructor(port, version, options) {
    this.messages = [];
    this.connacks = [];
    this.received = []; // Every packet as it was on the wire, aliases unresolved.
    this.client = mqtt.connect({
      host: '127.0.0.1', port, reconnectPeriod: 0, connectTimeout: WAIT_MS, ...PROTOCOLS[version], ...options,
    });
    this.client.on('error', (error) => { this.error = error; });
    this.client.on('connect', (packet) => this.connacks.push(packet));
    this.client.on('packetreceive', (packet) => this.received.push({ ...packet, properties: { ...packet.properties } }));
    this.client.on('message', (topic, payload, packet) => this.messages.push({ ...packet, topic, payload }));
  }

  subscribe(topic, options = { qos: 2 }) {
    return within(this.client.subscribeAsync(topic, options), `SUBACK for ${topic}`);
  }

  publish(topic, payload, options = { qos: 1 }) {
    return within(this.client.publishAsync(topic, payload, options), `the acknowledgement of a message to ${topic}`);
  }

  payloads() {
    return this.messages.map((message) => message.payload.toString());
  }

  // These payloads and no others have arrived, in this order.
  async expect(...payloads) {
    await this.untilCount(payloads.length);
    await sleep(QUIET_MS);
    assert.deepEqual(this.payloads(), payloads, 'payloads');
    return this.messages;
  }

  untilCount(count) {
    return this.until(() => this.messages.length >= count, `message number ${count}`);
  }

  async until(condition, what) {
    const deadline = Date.now() + WAIT_MS;
    while (!condition()) {
      if (this.error) throw this.error;
      assert.ok(Date.now() < deadline, `${what} did not come; arrived: ${this.payloads().slice(0, 5)}`);
      await sleep(5);
    }
  }

  // Breaks the connection without a DISCONNECT.
  async cut() {
    const closed = new Promise((resolve) => { this.client.once('close', resolve); });
    this.client.stream.destroy();
    await within(closed, 'the end of the connection');
  }

  end() {
    return within(this.client.endAsync(), 'the end of the client');
  }
}

async function within(promise, what) {
  const late = sleep(WAIT_MS, undefined, { ref: false }).then(() => { throw new Error(`${what} did not come`); });
  return Promise.race([promise, late]);
}

module.exports = { Peer, QUIET_MS, sleep, within };
