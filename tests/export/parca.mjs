// SPDX-License-Identifier: MIT
// parca.mjs: reads a WriteRawRequest as JSON from standard input by Parca's own client and writes the
// first profile in it to standard output. What the message does not have is an error.
import { register } from 'node:module';

// The package names its files without their ending, as bundlers allow.
register(`data:text/javascript,${encodeURIComponent(`
export async function resolve(name, context, next) {
  return next(name.startsWith('.') && !name.endsWith('.js') ? name + '.js' : name, context);
}
export async function load(url, context, next) {
  return next(url, url.includes('/@parca/') ? { ...context, format: 'module' } : context);
}`)}`);

const folder = `${process.env.NPM_PACKAGES}/node_modules/@parca/client/dist`;
const { WriteRawRequest } = await import(
  `${folder}/parca/profilestore/v1alpha1/profilestore.js`);

let text = '';
for await (const part of process.stdin) text += part;
const request = WriteRawRequest.fromJsonString(text, { ignoreUnknownFields: false });
const [series] = request.series;
if (!request.normalized || !series.labels.labels.some((label) => label.name === '__name__'))
  throw new Error('labels or normalization are missing');
process.stdout.write(series.samples[0].rawProfile);
