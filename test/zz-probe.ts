import { JsClient } from './help/mqtt-js.ts'
import { Proxy } from './help/proxy.ts'
const listener = { name: 'ward', bind: '127.0.0.1:0', accept: ['mqtt'], upstream: 'embedded' }
const proxy = await Proxy.start({ config: { listeners: [{ ...listener, limits: { perAddress: 1000 } }], metrics: { bind: '127.0.0.1:0' }, reload: { watch: false }, drain: { timeout: '3s' } } })
await proxy.waitForReady(200)
const port = proxy.port
const waits = process.argv[2] === 'wait'
let lost = 0
for (let k = 0; k < 10; k++) {
  const topic = `kept${k}`, u = {username:'a', password:'b'}
  const first = await JsClient.join(port, 4, { clientId: 'k'+k, clean: false, ...u })
  await first.client.subscribeAsync(topic, { qos: 2 })
  const log: string[] = []
  first.client.on('packetreceive', p => log.push('1< '+p.cmd+' '+p.messageId+' '+((p as any).payload??'')))
  await first.client.endAsync()
  if (waits) await new Promise(r => setTimeout(r, 200))
  const publisher = await JsClient.join(port, 4, { clientId: 'p'+k, ...u })
  for (let n = 0; n < 20; n++) await publisher.client.publishAsync(topic, `${n}`, { qos: n % 2 === 0 ? 1 : 2 })
  if (waits) await new Promise(r => setTimeout(r, 200))
  const second = new JsClient(port, 4, { clientId: 'k'+k, clean: false, ...u })
  second.client.on('packetreceive', p => log.push('< '+p.cmd+' '+p.messageId+' '+((p as any).payload??'')))
  second.client.on('packetsend', p => log.push('> '+p.cmd+' '+p.messageId))
  await second.connected()
  await new Promise(r => setTimeout(r, 300))
  if (second.messages.length !== 20) { lost++; if (lost === 1) console.log(k, second.messages.length, second.messages.map(m => m.payload).join(), '\n'+log.join('\n')) }
}
console.log('lost in', lost, 'of 10')
await proxy[Symbol.asyncDispose]()
process.exit(0)
