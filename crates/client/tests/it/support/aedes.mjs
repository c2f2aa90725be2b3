// aedes on one port of this machine: node aedes.mjs LIBRARY PORT. It says when it listens.

import { createServer } from 'node:net'

const [, , library, port] = process.argv
const { Aedes } = await import(library)
const broker = await Aedes.createBroker()
createServer(broker.handle).listen(Number(port), '127.0.0.1', () => console.log('ready'))
