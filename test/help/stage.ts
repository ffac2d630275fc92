// The usual stage of an end-to-end test: a genuine test broker and a proxy in front of it.

import { TestBroker, type BrokerOptions } from './broker.ts'
import { makePki } from './pki.ts'
import { Proxy, ward, type ProxyOptions, type WardOptions } from './proxy.ts'

export interface Stage extends AsyncDisposable {
  readonly proxy: Proxy
  readonly broker: TestBroker
}

export type StageOptions = Omit<WardOptions, 'brokers' | 'ca'> &
  Omit<ProxyOptions, 'config' | 'files'> & { readonly broker?: Omit<BrokerOptions, 'cert' | 'key'> }

/** Both, ready for devices; the proxy goes first when the scope ends, and has to end well. */
export async function setStage({
  broker: served,
  env,
  wrapper,
  exposeGc,
  ...rest
}: StageOptions = {}): Promise<Stage> {
  const pki = await makePki()
  const { chain: cert, key } = await pki.issue()
  const stack = new AsyncDisposableStack()
  try {
    const broker = stack.use(await TestBroker.start({ cert, key, ...served }))
    const proxy = stack.use(
      await Proxy.start({
        config: ward({ brokers: [broker.port], ...rest }),
        files: { 'ca.pem': pki.ca.cert },
        ...(env && { env }),
        ...(wrapper && { wrapper }),
        ...(exposeGc !== undefined && { exposeGc }),
      }),
    )
    await proxy.waitForReady(200)
    return { proxy, broker, [Symbol.asyncDispose]: () => stack.disposeAsync() }
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}
