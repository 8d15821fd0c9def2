// LayerNorm and ReLU written in JavaScript, checked against their vectors:  node layer_norm.mjs vectors/
import { existsSync, readFileSync } from "node:fs";

const sum = (a) => a.reduce((s, v) => s + v, 0);
const layers = {
  ReLU: ({ inputs: { x }, dy: { y: dy } }) => ({
    outputs: { y: x.v.map((v) => Math.max(v, 0)) },
    gradients: { x: x.v.map((v, i) => (v > 0 ? dy.v[i] : 0)) },
  }),
  // y = x̂ γ + β with x̂ = (x − μ)/σ;  dx = (g − ⟨g⟩ − x̂ ⟨g x̂⟩)/σ with g = γ dy;  dγ = Σ x̂ dy, dβ = Σ dy
  LayerNorm({ inputs: { x }, parameters: { weight, bias }, dy: { y: dy } }, { normalized_shape: shape, eps }) {
    const D = shape.reduce((n, d) => n * d, 1), y = [], dx = [], dw = Array(D).fill(0), db = Array(D).fill(0);
    for (let at = 0; at < x.v.length; at += D) {
      const row = x.v.slice(at, at + D), d = dy.v.slice(at, at + D), mean = sum(row) / D;
      const sigma = Math.sqrt(sum(row.map((v) => (v - mean) ** 2)) / D + eps);
      const hat = row.map((v) => (v - mean) / sigma), g = d.map((v, i) => v * (weight ? weight.v[i] : 1));
      const gm = sum(g) / D, gh = sum(g.map((v, i) => v * hat[i])) / D;
      hat.forEach((h, i) => {
        y.push(h * (weight ? weight.v[i] : 1) + (bias ? bias.v[i] : 0));
        dx.push((g[i] - gm - h * gh) / sigma);
        dw[i] += h * d[i], db[i] += d[i];
      });
    }
    return { outputs: { y }, gradients: { x: dx, weight: dw, bias: db } };
  },
};

// Numbers stand in "data", or in the safetensors file under id/section/name: 8 bytes of length, a JSON header, numbers.
function reader(path) {
  const bytes = existsSync(path) ? readFileSync(path) : Buffer.from("\x02\0\0\0\0\0\0\0{}");
  const start = 8 + Number(bytes.readBigUInt64LE(0)), header = JSON.parse(bytes.subarray(8, start));
  return (name) => {
    const [from, to] = header[name]?.data_offsets ?? [0, 0];
    return header[name] && Array.from({ length: (to - from) / 8 }, (_, i) => bytes.readDoubleLE(start + from + 8 * i));
  };
}

let wrong = 0;
for (const [name, layer] of Object.entries(layers)) {
  const folder = process.argv[2] ?? "vectors", stored = reader(`${folder}/${name}.safetensors`);
  for (const test of JSON.parse(readFileSync(`${folder}/${name}.json`, "utf8")).tests) {
    for (const section of ["inputs", "parameters", "dy", "outputs", "gradients"])
      for (const [n, t] of Object.entries(test[section]))
        for (const [key, place] of [["data", ""], ["low", "/low"], ["high", "/high"]])
          t[key === "data" ? "v" : key] ??= t[key] ?? stored(`${test.id}/${section}/${n}${place}`);
    const found = layer(test, test.options), off = [];
    for (const section of ["outputs", "gradients"])
      for (const [n, t] of Object.entries(test[section]))
        t.v.forEach((want, i) => { // at a kink everything from low to high is acceptable
          const have = found[section][n][i], [low, high] = [t.low ?? t.v, t.high ?? t.v].map((a) => a[i]);
          const room = t.bound ?? Infinity; // null: rounding alone leaves nothing of it
          if (!(have >= low - room && have <= high + room)) off.push(`${section} ${n}[${i}] is ${have}, not ${want}`);
        });
    console.log(`${test.id} ${off.length ? `wrong: ${off[0]}` : "right"}`);
    wrong += off.length > 0;
  }
}
process.exit(wrong ? 1 : 0);
