// Where a CA publishes its lists: an HTTP server on loopback that answers what a test wants, and counts who asked.

import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

type Answer = Buffer | ((request: IncomingMessage, response: ServerResponse) => void)

export class ListServer implements AsyncDisposable {
  readonly url: string
  answer: Answer
  /** Requests so far. */
  asked = 0
  readonly #server: Server

  private constructor(server: Server, answer: Answer) {
    this.#server = server
    this.answer = answer
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/ca.crl`
  }

  static async start(answer: Answer): Promise<ListServer> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const lists = new ListServer(server, answer)
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      lists.asked += 1
      if (typeof lists.answer === 'function') lists.answer(request, response)
      else response.end(lists.answer)
    })
    return lists
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
