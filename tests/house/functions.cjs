// The functions of JavaScript files by their lines: `node --expose-internals functions.cjs FILE ...` prints [[file, first line, lines], ...].
// The parser is acorn, as node itself holds it.

const { readFileSync } = require("node:fs");
const acorn = require("internal/deps/acorn/acorn/dist/acorn");
const walk = require("internal/deps/acorn/acorn-walk/dist/walk");

const found = [];
for (const file of process.argv.slice(2)) {
  const note = ({ loc }) => found.push([file, loc.start.line, loc.end.line - loc.start.line + 1]);
  const tree = acorn.parse(readFileSync(file, "utf8"), { ecmaVersion: "latest", sourceType: "module", locations: true });
  walk.simple(tree, { FunctionDeclaration: note, FunctionExpression: note, ArrowFunctionExpression: note });
}
process.stdout.write(JSON.stringify(found));
