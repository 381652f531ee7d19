'use strict';
// Puts the Rust sources that the package is built from into rust/, so that it can be built where there
// is nothing else of the repository. `npm pack` runs this before; `--clean` takes them away after.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const PACKAGE = path.join(__dirname, '..');
const REPOSITORY = path.join(PACKAGE, '..', '..');
const STAGED = path.join(PACKAGE, 'rust');
const CRATES = ['kaffic-core', 'bindings/shared', 'bindings/node'];

/** A manifest's text without what only tests, benchmarks and examples need. */
function pruned(manifest) {
  const tables = manifest.split(/^(?=\[)/m);
  return tables.filter((table) => !/^\[(\[(bench|test|example)\]|dev-dependencies)/.test(table)).join('');
}

function clean() {
  fs.rmSync(STAGED, { recursive: true, force: true });
  fs.rmSync(path.join(PACKAGE, 'LICENSE'), { force: true });
}

function stage() {
  clean();
  for (const crate of CRATES) {
    const [from, to] = [path.join(REPOSITORY, crate), path.join(STAGED, crate)];
    fs.cpSync(path.join(from, 'src'), path.join(to, 'src'), { recursive: true });
    const manifest = fs.readFileSync(path.join(from, 'Cargo.toml'), 'utf8');
    fs.writeFileSync(path.join(to, 'Cargo.toml'), pruned(manifest));
  }
  const workspace = fs.readFileSync(path.join(REPOSITORY, 'Cargo.toml'), 'utf8');
  const members = `members = ${JSON.stringify(CRATES)}`;
  fs.writeFileSync(path.join(STAGED, 'Cargo.toml'), workspace.replace(/^members = \[[^\]]*\]/m, members));
  fs.copyFileSync(path.join(REPOSITORY, 'LICENSE'), path.join(PACKAGE, 'LICENSE'));
  fs.copyFileSync(path.join(REPOSITORY, 'Cargo.lock'), path.join(STAGED, 'Cargo.lock'));
  // Leaves out of the lock file what these crates don't need, and keeps the versions of the rest.
  execFileSync('cargo', ['update', '--workspace', '--quiet'], { cwd: STAGED, stdio: 'inherit' });
}

if (process.argv.includes('--clean')) clean();
else stage();

module.exports = { stage };
