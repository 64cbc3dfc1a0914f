// The peer of Truing's ingress: the same function with Fastify, a slot per pull request in Redis (one Lua call that also
// drops repeated deliveries), and BullMQ for due slots. Data is durable before the 202: Redis is started with appendonly
// yes and appendfsync always. PORT, REDIS_PORT, SECRET, DEBOUNCE_MS and MAX_WAIT_MS configure it.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { Queue, Worker } from 'bullmq'
import fastify from 'fastify'
import { Redis } from 'ioredis'

const { PORT, REDIS_PORT, SECRET } = process.env
const debounce = Number(process.env.DEBOUNCE_MS)
const maxWait = Number(process.env.MAX_WAIT_MS)
const DRAIN_EVERY_MS = 2000
const DELIVERIES_KEPT_S = 24 * 60 * 60
const MAX_BODY = 25 * 1024 * 1024

const connection = { host: '127.0.0.1', port: Number(REDIS_PORT), maxRetriesPerRequest: null }
const redis = new Redis(connection)

// Records an event. The slot is due after a pause, at most MAX_WAIT_MS after the first event; an event during a review
// makes the slot due once more after it.
redis.defineCommand('markSlot', {
  numberOfKeys: 3,
  lua: `
    local slot, due, delivery = KEYS[1], KEYS[2], KEYS[3]
    local now, debounce, wait, head, name, keep = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6]
    if not redis.call('SET', delivery, 1, 'NX', 'EX', keep) then return 'repeated' end
    local known = redis.call('HMGET', slot, 'state', 'first')
    if known[1] == 'running' then
      redis.call('HSET', slot, 'again', 1, 'head', head)
      return 'again'
    end
    local first = known[1] == 'waiting' and tonumber(known[2]) or now
    local at = math.min(now + debounce, first + wait)
    redis.call('HSET', slot, 'state', 'waiting', 'first', first, 'head', head)
    redis.call('ZADD', due, at, name)
    return 'waiting'`
})
redis.defineCommand('takeDue', {
  numberOfKeys: 1,
  lua: `
    local names = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 256)
    local taken = {}
    for _, name in ipairs(names) do
      local slot = 'slot:' .. name
      redis.call('ZREM', KEYS[1], name)
      redis.call('HSET', slot, 'state', 'running')
      table.insert(taken, { name, redis.call('HGET', slot, 'head'), redis.call('HINCRBY', slot, 'run', 1) })
    end
    return taken`
})
redis.defineCommand('finishSlot', {
  numberOfKeys: 2,
  lua: `
    if redis.call('HDEL', KEYS[1], 'again') == 1 then
      redis.call('HSET', KEYS[1], 'state', 'waiting', 'first', ARGV[1])
      redis.call('ZADD', KEYS[2], ARGV[1], ARGV[2])
    else
      redis.call('DEL', KEYS[1])
    end`
})

const reviews = new Queue('reviews', { connection, defaultJobOptions: { removeOnComplete: true, attempts: 5 } })
new Worker('reviews', job => redis.finishSlot(`slot:${job.data.name}`, 'due', Date.now(), job.data.name), {
  connection,
  concurrency: 4
})
let draining = false
setInterval(async () => {
  if (draining) return
  draining = true
  try {
    const due = await redis.takeDue('due', Date.now())
    await reviews.addBulk(
      due.map(([name, head, run]) => ({ name: 'review', data: { name, head }, opts: { jobId: `${name}-${run}` } }))
    )
  } finally {
    draining = false
  }
}, DRAIN_EVERY_MS)

const app = fastify({ logger: false, bodyLimit: MAX_BODY })
app.removeAllContentTypeParsers()
app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))

app.post('/webhooks/github', async (request, reply) => {
  const given = request.headers['x-hub-signature-256'] ?? ''
  const expected = `sha256=${createHmac('sha256', SECRET).update(request.body).digest('hex')}`
  if (given.length !== expected.length || !timingSafeEqual(Buffer.from(given), Buffer.from(expected))) {
    return reply.code(401).send({ error: 'bad_signature' })
  }
  let event
  try {
    event = JSON.parse(request.body)
  } catch {
    return reply.code(400).send({ error: 'bad_payload' })
  }
  if (request.headers['x-github-event'] !== 'pull_request') return reply.code(202).send({ status: 'ignored' })
  const name = `${event.repository.id}/${event.number}`
  const delivery = `delivery:${request.headers['x-github-delivery']}`
  const status = await redis.markSlot(
    `slot:${name}`, 'due', delivery, Date.now(), debounce, maxWait, event.pull_request.head.sha, name, DELIVERIES_KEPT_S
  )
  return reply.code(202).send({ status })
})
app.get('/readyz', async () => ({ status: await redis.ping() }))
await app.listen({ host: '127.0.0.1', port: Number(PORT) })
