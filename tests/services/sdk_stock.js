// Node's `http` with OpenTelemetry's SDK, which sends JSON. Each request calls `downstream`, if it is given.
'use strict';
const { NodeTracerProvider, BatchSpanProcessor } = require('@opentelemetry/sdk-trace-node');
const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-http');
const { HttpInstrumentation } = require('@opentelemetry/instrumentation-http');
const { registerInstrumentations } = require('@opentelemetry/instrumentation');
const { resourceFromAttributes } = require('@opentelemetry/resources');

const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ 'service.name': 'sdk-stock' }),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter(), { scheduledDelayMillis: 100 })],
});
provider.register();
registerInstrumentations({ tracerProvider: provider, instrumentations: [new HttpInstrumentation()] });

const http = require('node:http');
const [port, downstream] = process.argv.slice(2);

function answer(response, status, text) {
  response.writeHead(status, { 'Content-Type': 'text/plain', 'Content-Length': Buffer.byteLength(text) });
  response.end(text);
}

http.createServer((request, response) => {
  if (!downstream || request.url === '/warm') return answer(response, 200, request.url + '\n');
  http.get(downstream + request.url, (reply) => {
    const chunks = [];
    reply.on('data', (chunk) => chunks.push(chunk));
    reply.on('end', () => answer(response, 200, Buffer.concat(chunks)));
  }).on('error', (error) => answer(response, 502, String(error)));
}).listen(Number(port), '127.0.0.1');
