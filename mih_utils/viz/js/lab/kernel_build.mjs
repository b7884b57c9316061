// Builds kernel_bytes.js from kernel.wat. Needs the npm package wabt, at development time only:
//   npm install --no-save --prefix /tmp/wabt wabt
//   node mih_utils/viz/js/lab/kernel_build.mjs /tmp/wabt/node_modules/wabt/index.js
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const wabt = await createRequire(import.meta.url)(resolve(process.argv[2]))();
const source = new URL("kernel.wat", import.meta.url);
const module = wabt.parseWat("kernel.wat", readFileSync(source, "utf8"), { simd: true });
const { buffer } = module.toBinary({});
const text = `// kernel.wat as bytes, written by kernel_build.mjs\nexport const KERNEL = "${Buffer.from(buffer).toString("base64")}";\n`;
writeFileSync(new URL("kernel_bytes.js", import.meta.url), text);
console.log(`${buffer.length} bytes of WebAssembly`);
