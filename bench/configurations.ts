// The same job in the words of each proxy's configuration file.
import { join } from 'node:path'
import { BROKER_NAME, type Pki } from './pki.ts'
import { LOOPBACK } from './ports.ts'

export interface Job {
  /** Plaintext MQTT comes in on this port of the loopback address. */
  readonly listen: number
  /** And goes out to this one in TLS 1.3, once the certificate's chain and name have been checked. */
  readonly upstream: number
  readonly pki: Pki
  /** A private folder for the configuration and what the proxy keeps. */
  readonly folder: string
}

/** Where Debian's libnginx-mod-stream puts it. */
export const NGINX_MODULE = '/usr/lib/nginx/modules/ngx_stream_module.so'

/** Everything at its default but the caps that 2,000 devices on one address would meet. */
export function proxyYaml({ listen, upstream, pki, folder }: Job): string {
  return `
listeners:
  - name: bench
    bind: ${LOOPBACK}:${listen}
    accept: [mqtt]
    upstream: sink
    limits: { connections: 10000, perAddress: 10000 }
upstreams:
  sink:
    servers: ['mqtts://${LOOPBACK}:${upstream}']
    tls:
      minVersion: TLSv1.3
      ca: ['${pki.ca}']
      pins: ['${pki.pin}']
      singlePin: accept
      serverName: ${BROKER_NAME}
metrics: { bind: '${LOOPBACK}:0' }
state: '${join(folder, 'state')}'
`
}

export function haproxyCfg({ listen, upstream, pki }: Job): string {
  return `
global
  nbthread 1
  maxconn 8000
defaults
  mode tcp
  timeout connect 10s
  timeout client 1h
  timeout server 1h
listen bench
  bind ${LOOPBACK}:${listen} backlog 4096
  server sink ${LOOPBACK}:${upstream} ssl verify required ca-file ${pki.ca} verifyhost ${BROKER_NAME} sni str(${BROKER_NAME}) ssl-min-ver TLSv1.3
`
}

/** Without a syslog daemon its log would go to the machine's console, which costs more than all its other work. */
export function stunnelConf({ listen, upstream, pki }: Job): string {
  return `
foreground = yes
syslog = no
debug = warning
pid =
[bench]
client = yes
accept = ${LOOPBACK}:${listen}
connect = ${LOOPBACK}:${upstream}
sslVersionMin = TLSv1.3
verifyChain = yes
CAfile = ${pki.ca}
checkHost = ${BROKER_NAME}
sni = ${BROKER_NAME}
`
}

export function nginxConf({ listen, upstream, pki }: Job): string {
  return `
load_module ${NGINX_MODULE};
daemon off;
worker_processes 1;
pid nginx.pid;
events { worker_connections 8192; }
stream {
  server {
    listen ${LOOPBACK}:${listen} backlog=4096;
    proxy_pass ${LOOPBACK}:${upstream};
    proxy_timeout 1h;
    proxy_ssl on;
    proxy_ssl_protocols TLSv1.3;
    proxy_ssl_verify on;
    proxy_ssl_trusted_certificate ${pki.ca};
    proxy_ssl_name ${BROKER_NAME};
    proxy_ssl_server_name on;
  }
}
`
}
