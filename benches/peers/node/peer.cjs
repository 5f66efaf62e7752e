// BullMQ behind the line protocol of `make bench-peers`: peer.cjs <enqueue|work|latency> <JSON>.
// Packages are found through NODE_PATH.
const { Queue, Worker } = require('bullmq');
const IORedis = require('ioredis');

const [mode, order] = [process.argv[2], JSON.parse(process.argv[3])];
const url = new URL(order.url);
const connect = () => new IORedis({ host: url.hostname, port: Number(url.port), maxRetriesPerRequest: null,
  enableAutoPipelining: order.auto_pipelining });
const say = (value) => process.stdout.write(JSON.stringify(value) + '\n');
const now = () => Number(process.hrtime.bigint()) / 1e3; // microseconds
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

function input() {
  const of = (content) => ({ messages: [{ role: 'user', content }] });
  const frame = JSON.stringify(of('')).length;
  return of('0123456789'.repeat(Math.ceil(order.bytes / 10)).slice(0, Math.max(0, order.bytes - frame)));
}

async function ready() {
  say({ ready: true });
  await new Promise((done) => process.stdin.once('data', done));
}

const worker = (handler) => new Worker('bench', handler, { connection: connect(), concurrency: order.slots });

async function enqueue() {
  const [queue, data] = [new Queue('bench', { connection: connect() }), input()];
  await queue.waitUntilReady();
  // What is measured for a second should not be how V8 compiles.
  if (order.seconds > 0) {
    const warm = new Queue('warm', { connection: connect() });
    for (let n = 0; n < 50; n += 1) await Promise.all(Array.from({ length: 64 }, () => warm.add('echo', data)));
  }
  await ready();
  const started = now();
  const limit = order.jobs || Infinity;
  let [taken, sent] = [0, 0];
  const call = async () => {
    while (order.seconds === 0 || (now() - started) / 1e6 < order.seconds) {
      const jobs = Math.min(order.batch, limit - taken);
      if (jobs <= 0) break;
      taken += jobs;
      if (jobs === 1) await queue.add('echo', data);
      else await queue.addBulk(Array.from({ length: jobs }, () => ({ name: 'echo', data })));
      sent += jobs;
    }
  };
  await Promise.all(Array.from({ length: order.in_flight }, call));
  say({ jobs: sent, seconds: (now() - started) / 1e6 });
  process.exit(0);
}

async function latency() {
  const [queue, aside, data] = [
    new Queue('bench', { connection: connect() }), new Queue('aside', { connection: connect() }), input()];
  let began;
  const running = worker(async () => { began(now()); });
  await Promise.all([queue.waitUntilReady(), aside.waitUntilReady(), running.waitUntilReady()]);
  await ready();
  const [starts, trips, warm] = [[], [], 20];
  for (let n = 0; n < order.jobs + warm; n += 1) {
    const start = new Promise((done) => { began = done; });
    const sent = now();
    await queue.add('echo', data);
    const first = (await start) - sent;
    await sleep(5);
    const begun = now();
    await aside.add('echo', data);
    const trip = now() - begun;
    await sleep(1);
    if (n >= warm) { starts.push(first); trips.push(trip); }
  }
  say({ starts, trips });
  process.exit(0);
}

async function work() {
  await ready();
  worker(async () => {});
}

({ enqueue, latency, work })[mode]();
