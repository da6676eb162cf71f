// The node runs without peers, so the packages of the network are not installed (package.json puts an empty one in their
// place). Whatever is imported from them becomes an object that can be called, constructed, and asked for any property.
import fs from "node:fs";
import path from "node:path";
import {fileURLToPath} from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const wanted = new Map(); // package: names that the node imports from it
for (const file of fs.readdirSync(path.join(here, "node_modules/@lodestar/beacon-node/lib"), {recursive: true})) {
  if (!file.endsWith(".js")) continue;
  const text = fs.readFileSync(path.join(here, "node_modules/@lodestar/beacon-node/lib", file), "utf8");
  for (const [, names, spec] of text.matchAll(/(?:import|export)\s+(?:\w+\s*,\s*)?\{([^}]*)\}\s*from\s*"([^"]+)"/g)) {
    if (!wanted.has(spec)) wanted.set(spec, new Set());
    for (const name of names.split(",")) wanted.get(spec).add(name.trim().split(/\s+as\s+/)[0]);
  }
}

// Of these, values are read when the node starts.
const own = {
  "@libp2p/peer-id": "export const peerIdFromPrivateKey = () => ({publicKey: {raw: new Uint8Array(33)}}); export const peerIdFromString = (s) => ({toString: () => s});",
  "@chainsafe/enr": 'export const getV4Crypto = () => ({nodeId: () => "07".repeat(32)}); export class ENR {} export class SignableENR {}',
};

export async function resolve(spec, context, next) {
  if (spec.startsWith(".") || spec.startsWith("/") || spec.startsWith("node:") || spec.startsWith("file:")) return next(spec, context);
  try {
    const found = await next(spec, context);
    if (!found.url.includes("/stand-in/empty/")) return found;
  } catch {
    // not installed at all
  }
  return {url: "absent:" + spec, shortCircuit: true, format: "module"};
}

export async function load(url, context, next) {
  if (!url.startsWith("absent:")) return next(url, context);
  const spec = url.slice("absent:".length);
  const names = [...(wanted.get(spec) ?? [])].filter((n) => n && n !== "default");
  const value = (n) => /^[A-Z][A-Z_0-9]+$/.test(n) ? JSON.stringify(n) : "absent()";
  const source = own[spec] ?? `
    const absent = () => new Proxy(function () {}, {get: (t, k) => k in t || typeof k === "symbol" || k === "then" ? t[k] : absent()});
    ${names.map((n) => `export const ${n} = ${value(n)};`).join("\n")}
    export default absent();`;
  return {format: "module", shortCircuit: true, source};
}
