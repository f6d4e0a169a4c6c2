// Runs a model step by step in ONNX Runtime, with its state fed back: reads a request as JSON from the file
// named first, writes what came out to the file named second. Elements travel as hexadecimal bytes.
const fs = require('fs');
const ort = require('onnxruntime-node');

const arrays = {
  float32: Float32Array, float64: Float64Array, int32: Int32Array, int64: BigInt64Array, uint8: Uint8Array,
  int8: Int8Array, uint16: Uint16Array, int16: Int16Array, uint32: Uint32Array, uint64: BigUint64Array,
  bool: Uint8Array,
};

function tensor({type, dims, hex}) {
  const bytes = Buffer.from(hex, 'hex');
  const copy = new Uint8Array(bytes).buffer;  // aligned
  return new ort.Tensor(type, new arrays[type](copy), dims);
}

function plain(t) {
  const bytes = Buffer.from(t.data.buffer, t.data.byteOffset, t.data.byteLength);
  return {type: t.type, dims: Array.from(t.dims, Number), hex: bytes.toString('hex')};
}

async function main() {
  const request = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
  const session = await ort.InferenceSession.create(request.model, {intraOpNumThreads: 1});
  const steps = [];
  let state = {};
  for (const name of Object.keys(request.start)) state[name] = tensor(request.start[name]);
  for (const given of request.steps) {
    const feeds = {...state};
    for (const name of Object.keys(given)) feeds[name] = tensor(given[name]);
    const results = await session.run(feeds);
    for (const [input, output] of Object.entries(request.state)) if (output) state[input] = results[output];
    const step = {};
    for (const name of Object.keys(results)) step[name] = plain(results[name]);
    steps.push(step);
  }
  fs.writeFileSync(process.argv[3], JSON.stringify(steps));
}

main().catch((e) => {
  console.error(String(e && e.message || e));
  process.exit(1);
});
