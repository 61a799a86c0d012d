/**
 * The parts of the network in WGSL, float32 throughout. Each is a kernel: its sizes, its arrays in the order of their
 * bindings, and its code.
 *
 * Images are (batch, channels, height, width), as in layers.js; `area` is height times width.
 */

/** Invocations of a workgroup. The code below counts on 64. */
export const GROUP = 64;
/** What one workgroup of `convolution` gives: so many channels of so many pixels. */
export const TILE = { outputs: 32, pixels: 32 };
/** Positions of which one workgroup of `attention` gives the answers, and channels of a head that it has room for. */
export const ASKED = 4;
export const HEAD = 768;

/** How `copy` is told that sides change. */
export const RESAMPLINGS = { same: 0, halved: 1, doubled: 2 };

const SUM = `
var<workgroup> parts: array<f32, 64>;

fn sum(part: f32, i: u32) -> f32 {
  parts[i] = part;
  workgroupBarrier();
  for (var half = 32u; half > 0u; half /= 2u) {
    if (i < half) { parts[i] += parts[i + half]; }
    workgroupBarrier();
  }
  let whole = parts[0];
  workgroupBarrier();
  return whole;
}`;

const SILU = `
fn silu(x: f32) -> f32 {
  return x / (1.0 + exp(min(-x, 80.0))); // exp(89) is no float32
}`;

/** Planes into others, at half or twice the sides, cut or with zeros at the far sides, from a channel on. */
const copy = {
  sizes: ["channels", "height", "width", "out_channels", "out_height", "out_width", "first", "resampling"],
  arrays: ["source"],
  code: `
fn pixel(plane: u32, y: u32, x: u32) -> f32 {
  if (y >= sizes.height || x >= sizes.width) { return 0.0; }
  return source[(plane * sizes.height + y) * sizes.width + x];
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3u) {
  let area = sizes.out_height * sizes.out_width;
  if (at.x >= area) { return; }
  let y = at.x / sizes.out_width;
  let x = at.x % sizes.out_width;
  let plane = at.z * sizes.channels + at.y;
  var value = 0.0;
  if (sizes.resampling == 0u) {
    value = pixel(plane, y, x);
  } else if (sizes.resampling == 1u) {
    let above = pixel(plane, 2u * y, 2u * x) + pixel(plane, 2u * y, 2u * x + 1u);
    value = (above + pixel(plane, 2u * y + 1u, 2u * x) + pixel(plane, 2u * y + 1u, 2u * x + 1u)) / 4.0;
  } else {
    value = pixel(plane, y / 2u, x / 2u);
  }
  out[(at.z * sizes.out_channels + sizes.first + at.y) * area + at.x] = value;
}`,
};

/** Group normalisation of a group in an image, and SiLU; the time may scale and shift. */
const norm = {
  sizes: ["channels", "area", "groups", "activated", "told", "first", "stride", "eps"],
  arrays: ["source", "weight", "bias", "time"],
  code: `${SUM}${SILU}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) i: u32) {
  let size = sizes.channels / sizes.groups;
  let count = size * sizes.area;
  let start = (group.y * sizes.groups + group.x) * count;
  var part = 0.0;
  for (var n = i; n < count; n += 64u) { part += source[start + n]; }
  let mean = sum(part, i) / f32(count);
  part = 0.0;
  for (var n = i; n < count; n += 64u) {
    let offset = source[start + n] - mean;
    part += offset * offset;
  }
  let inverse = 1.0 / sqrt(sum(part, i) / f32(count) + bitcast<f32>(sizes.eps));
  for (var n = i; n < count; n += 64u) {
    let channel = group.x * size + n / sizes.area;
    var value = (source[start + n] - mean) * inverse * weight[channel] + bias[channel];
    if (sizes.told == 1u) {
      let place = group.y * sizes.stride + sizes.first + channel;
      value = value * (1.0 + time[place]) + time[place + sizes.channels];
    }
    if (sizes.activated == 1u) { value = silu(value); }
    out[start + n] = value;
  }
}`,
};

/**
 * A convolution by a square of side^2 taps, as a product of matrices: 32 channels of 32 pixels in a workgroup, 32
 * channels of the input at a time. An invocation has four channels of four pixels.
 *
 * weight: (taps, inputs, outputs); bias: (outputs,); time: (batch, stride), added to a plane from place `first` on.
 */
const convolution = {
  sizes: [
    ...["batch", "inputs", "height", "width", "outputs", "out_height", "out_width"],
    ...["side", "step", "border", "told", "first", "stride", "summed"],
  ],
  arrays: ["source", "weight", "bias", "time", "residual"],
  code: `
var<workgroup> weights: array<vec4f, 256>;
var<workgroup> pixels: array<vec4f, 256>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) i: u32) {
  let area = sizes.height * sizes.width;
  let out_area = sizes.out_height * sizes.out_width;
  let quad = i % 8u;
  let row = i / 8u;
  let channel = tile.y * 32u + row * 4u;
  let n = vec4u(tile.x * 32u + quad * 4u) + vec4u(0u, 1u, 2u, 3u);
  let image = n / out_area;
  let place = n % out_area;
  let top = vec4i(place / sizes.out_width * sizes.step) - i32(sizes.border);
  let left = vec4i(place % sizes.out_width * sizes.step) - i32(sizes.border);
  let within = image < vec4u(sizes.batch);
  let plane = vec4i(image * sizes.inputs * area);
  var a = vec4f();
  var b = vec4f();
  var c = vec4f();
  var d = vec4f();
  for (var tap = 0u; tap < sizes.side * sizes.side; tap++) {
    let y = top + i32(tap / sizes.side);
    let x = left + i32(tap % sizes.side);
    let down = (y >= vec4i()) & (y < vec4i(i32(sizes.height)));
    let seen = within & down & (x >= vec4i()) & (x < vec4i(i32(sizes.width)));
    let at = select(vec4u(), vec4u(plane + y * i32(sizes.width) + x), seen);
    for (var first = 0u; first < sizes.inputs; first += 32u) {
      let count = min(32u, sizes.inputs - first);
      for (var n = row; n < count; n += 8u) {
        let p = at + (first + n) * area;
        pixels[n * 8u + quad] = select(vec4f(), vec4f(source[p.x], source[p.y], source[p.z], source[p.w]), seen);
        let w = (tap * sizes.inputs + first + n) * sizes.outputs + tile.y * 32u + quad * 4u;
        weights[n * 8u + quad] = vec4f(weight[w], weight[w + 1u], weight[w + 2u], weight[w + 3u]);
      }
      workgroupBarrier();
      for (var n = 0u; n < count; n++) {
        let value = pixels[n * 8u + quad];
        let by = weights[n * 8u + row];
        a += by.x * value;
        b += by.y * value;
        c += by.z * value;
        d += by.w * value;
      }
      workgroupBarrier();
    }
  }
  for (var p = 0u; p < 4u; p++) {
    if (!within[p]) { break; }
    put(image[p], channel, place[p], out_area, a[p]);
    put(image[p], channel + 1u, place[p], out_area, b[p]);
    put(image[p], channel + 2u, place[p], out_area, c[p]);
    put(image[p], channel + 3u, place[p], out_area, d[p]);
  }
}

fn put(image: u32, channel: u32, place: u32, area: u32, product: f32) {
  if (channel >= sizes.outputs) { return; }
  var value = product + bias[channel];
  if (sizes.told == 1u) { value += time[image * sizes.stride + sizes.first + channel]; }
  let at = (image * sizes.outputs + channel) * area + place;
  if (sizes.summed == 1u) { value += residual[at]; }
  out[at] = value;
}`,
};

/**
 * A dense layer, one output of one image in a workgroup, with the row of `table` that the image's label names, and
 * SiLU.
 *
 * weight: (outputs, inputs); labels: (batch,) as f32, less than 0 for none; table: (classes, outputs).
 */
const linear = {
  sizes: ["inputs", "outputs", "single", "labelled", "activated"],
  arrays: ["source", "weight", "bias", "labels", "table"],
  code: `${SUM}${SILU}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) i: u32) {
  let from_here = select(group.y * sizes.inputs, 0u, sizes.single == 1u);
  var part = 0.0;
  for (var n = i; n < sizes.inputs; n += 64u) { part += weight[group.x * sizes.inputs + n] * source[from_here + n]; }
  var value = sum(part, i) + bias[group.x];
  let label = labels[group.y];
  if (sizes.labelled == 1u && label >= 0.0) { value += table[u32(label) * sizes.outputs + group.x]; }
  if (sizes.activated == 1u) { value = silu(value); }
  if (i == 0u) { out[group.y * sizes.outputs + group.x] = value; }
}`,
};

/**
 * Four positions of one head in a workgroup: out = softmax(q k / sqrt(size)) v, over 64 positions at a time, so that no
 * matrix of all pairs is needed.
 */
const attention = {
  sizes: ["size", "area"],
  arrays: ["query", "key", "value"],
  code: `
var<workgroup> sums: array<vec4f, ${HEAD}>;
var<workgroup> scores: array<vec4f, 64>;
var<workgroup> weights: array<vec4f, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) i: u32) {
  let start = group.y * sizes.size * sizes.area;
  let n = vec4u(group.x * 4u) + vec4u(0u, 1u, 2u, 3u);
  let asked = start + min(n, vec4u(sizes.area - 1u));
  for (var c = i; c < sizes.size; c += 64u) { sums[c] = vec4f(); }
  var highest = vec4f(-3e38);
  var total = vec4f();
  for (var first = 0u; first < sizes.area; first += 64u) {
    let count = min(64u, sizes.area - first);
    var score = vec4f();
    let m = start + first + min(i, count - 1u);
    for (var c = 0u; c < sizes.size * sizes.area; c += sizes.area) {
      let at = asked + c;
      score += key[m + c] * vec4f(query[at.x], query[at.y], query[at.z], query[at.w]);
    }
    score /= sqrt(f32(sizes.size));
    scores[i] = score;
    workgroupBarrier();
    var most = highest;
    for (var j = 0u; j < count; j++) { most = max(most, scores[j]); }
    weights[i] = exp(score - most);
    workgroupBarrier();
    let shrink = exp(highest - most);
    total *= shrink;
    for (var j = 0u; j < count; j++) { total += weights[j]; }
    for (var c = i; c < sizes.size; c += 64u) {
      let from_here = start + c * sizes.area + first;
      var mixed = sums[c] * shrink;
      for (var j = 0u; j < count; j++) { mixed += weights[j] * value[from_here + j]; }
      sums[c] = mixed;
    }
    highest = most;
    workgroupBarrier();
  }
  for (var c = i; c < sizes.size; c += 64u) {
    let found = sums[c] / total;
    for (var p = 0u; p < 4u; p++) {
      if (n[p] < sizes.area) { out[start + c * sizes.area + n[p]] = found[p]; }
    }
  }
}`,
};

/** The kernels by name. */
export const KERNELS = { copy, norm, convolution, linear, attention };

/**
 * The whole text of a kernel.
 * @param {{sizes: string[], arrays: string[], code: string}} kernel
 * @returns {string} WGSL
 */
export function textOf({ sizes, arrays, code }) {
  const fields = sizes.map((name) => `  ${name}: u32,`).join("\n");
  const bindings = arrays.map((name, i) => `@group(0) @binding(${i + 1}) var<storage, read> ${name}: array<f32>;`);
  return `struct Sizes {
${fields}
}
@group(0) @binding(0) var<uniform> sizes: Sizes;
${bindings.join("\n")}
@group(0) @binding(${arrays.length + 1}) var<storage, read_write> out: array<f32>;
${code}`;
}
