// Judges an AsyncAPI document with the official parser: node asyncapi.mjs <folder of node_modules> <document>
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

const [folder, file] = process.argv.slice(2);
const { Parser } = createRequire(resolve(folder, "package.json"))("@asyncapi/parser");
const { document, diagnostics } = await new Parser().parse(readFileSync(file, "utf8"));
const ERROR = 0, WARNING = 1;
const faults = diagnostics.filter((found) => found.severity === ERROR || found.severity === WARNING);
for (const { code, path, message } of faults) console.error(`${code} at ${path.join(".")}: ${message}`);
if (!document || faults.length) process.exit(1);
console.log(`${file}: valid AsyncAPI ${document.version()}, ${document.channels().all().length} channels`);
