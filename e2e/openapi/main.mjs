// Checks a description of an HTTP API against the OpenAPI specification: its path is the only argument.
import { readFile } from "node:fs/promises";
import { Validator } from "@seriousme/openapi-schema-validator";

const document = JSON.parse(await readFile(process.argv[2], "utf8"));
const validator = new Validator();
const { valid, errors } = await validator.validate(document);
if (!valid) {
  console.error(typeof errors === "string" ? errors : JSON.stringify(errors, null, 2));
  process.exit(1);
}
// What the specification's schema cannot say: every name in a path is a parameter, and no id stands twice.
const ids = new Set();
for (const [path, methods] of Object.entries(document.paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    const wanted = [...path.matchAll(/\{(\w+)\}/g)].map((found) => found[1]).sort();
    const told = (operation.parameters ?? []).filter((one) => one.in === "path").map((one) => one.name).sort();
    if (wanted.join() !== told.join()) {
      throw new Error(`${method} ${path} tells the path parameters ${told}`);
    }
    if (ids.has(operation.operationId)) {
      throw new Error(`${operation.operationId} stands twice`);
    }
    ids.add(operation.operationId);
  }
}
console.log(`OpenAPI ${validator.version}: ${ids.size} operations, valid`);
