// A service that keeps stock: GET /stock/<item>. The OpenTelemetry SDK sends its traces,
// logs and metrics as OTEL_ variables say. It ends when standard input ends.
const { metrics, trace, SpanStatusCode } = require('@opentelemetry/api')
const { logs, SeverityNumber } = require('@opentelemetry/api-logs')
const { HttpInstrumentation } = require('@opentelemetry/instrumentation-http')
const { NodeSDK } = require('@opentelemetry/sdk-node')

const sdk = new NodeSDK({ instrumentations: [new HttpInstrumentation()] })
sdk.start()
const http = require('node:http') // after the start, which instruments it

const tracer = trace.getTracer('stock')
const logger = logs.getLogger('stock')
const meter = metrics.getMeter('stock')
const requests = meter.createCounter('stock.requests')
const pending = meter.createUpDownCounter('stock.pending')
const times = meter.createHistogram('stock.time', { unit: 'ms' })

const server = http.createServer((request, response) => {
  const item = request.url.split('/').pop()
  tracer.startActiveSpan('look up', span => {
    span.setAttribute('item', item)
    pending.add(1)
    requests.add(1, { item })
    times.record(7, { item })
    if (item === 'none') {
      span.recordException(new RangeError('no such item'))
      span.setStatus({ code: SpanStatusCode.ERROR })
      logger.emit({ severityNumber: SeverityNumber.ERROR, body: 'no such item', attributes: { item } })
      response.statusCode = 404
    } else {
      logger.emit({ severityNumber: SeverityNumber.INFO, body: 'looked up', attributes: { item } })
    }
    span.end()
    response.end(item)
  })
})
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`))

process.stdin.resume()
process.stdin.on('end', async () => {
  server.close()
  await sdk.shutdown() // sends what is left
  process.exit(0)
})
