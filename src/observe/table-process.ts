// The part of the metric table about the process, under the names the client libraries of Prometheus agreed on.

import { metric } from './metric.ts'

export const processMetrics = {
  process_cpu_seconds_total: metric(
    'counter',
    'The proxy itself',
    'User and system CPU time spent, in seconds.',
  ),
  process_start_time_seconds: metric(
    'gauge',
    'The proxy itself',
    'When the process started, in seconds since 1970.',
  ),
  process_resident_memory_bytes: metric('gauge', 'The proxy itself', 'Resident memory, in bytes.'),
  process_open_fds: metric('gauge', 'The proxy itself', 'File descriptors open now; on Linux.'),
  process_max_fds: metric(
    'gauge',
    'The proxy itself',
    'Most file descriptors the process may open; on Linux.',
  ),
  nodejs_heap_size_used_bytes: metric('gauge', 'The proxy itself', 'JavaScript heap in use, in bytes.'),
  nodejs_heap_size_total_bytes: metric('gauge', 'The proxy itself', 'JavaScript heap reserved, in bytes.'),
  nodejs_external_memory_bytes: metric(
    'gauge',
    'The proxy itself',
    'Memory buffers hold outside the heap, in bytes.',
  ),
}
