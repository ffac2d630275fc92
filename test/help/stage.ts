// The usual stage of an end-to-end test: a genuine test broker and a proxy in front of it.

import { TestBroker, type BrokerOptions } from './broker.ts'
import { makePki, type Pki } from './pki.ts'
import { Proxy, ward, type ProxyOptions, type WardOptions } from './proxy.ts'

export interface Stage extends AsyncDisposable {
  readonly proxy: Proxy
  readonly broker: TestBroker
  /** PEM of the CA behind the broker's certificate and that of `readyMade`. */
  readonly ca: string
}

export type StageOptions = Omit<WardOptions, 'brokers' | 'ca'> &
  Omit<ProxyOptions, 'config' | 'files'> & { readonly broker?: Omit<BrokerOptions, 'cert' | 'key'> }

/** For `listener`: plaintext and TLS, with a certificate that need not be minted while the proxy starts. */
export const readyMade = {
  accept: ['mqtt', 'mqtts'],
  tls: { certificate: { cert: 'device.pem', key: 'device.key' } },
}

/** One for all stages of a file: its RSA key takes longer to find than all else. */
let authority: Promise<Pki> | undefined

/** Both, ready for devices; the proxy goes first when the scope ends, and has to end well. */
export async function setStage({
  broker: served,
  env,
  wrapper,
  exposeGc,
  ...rest
}: StageOptions = {}): Promise<Stage> {
  const pki = await (authority ??= makePki())
  const [{ chain: cert, key }, shown] = await Promise.all([pki.issue(), pki.issue()])
  const stack = new AsyncDisposableStack()
  try {
    const broker = stack.use(await TestBroker.start({ cert, key, ...served }))
    const proxy = stack.use(
      await Proxy.start({
        config: ward({ brokers: [broker.port], ...rest }),
        files: { 'ca.pem': pki.ca.cert, 'device.pem': shown.chain, 'device.key': shown.key },
        ...(env && { env }),
        ...(wrapper && { wrapper }),
        ...(exposeGc !== undefined && { exposeGc }),
      }),
    )
    await proxy.waitForReady(200)
    return { proxy, broker, ca: pki.ca.cert, [Symbol.asyncDispose]: () => stack.disposeAsync() }
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}
