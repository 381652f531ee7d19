'use strict';
// Puts the Rust sources that the package is built from into rust/, so that it can be built where there
// is nothing else of the repository. `npm pack` runs this before; `--clean` takes them away after.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const PACKAGE = path.join(__dirname, '..');
const REPOSITORY = path.join(PACKAGE, '..', '..');
const STAGED = path.join(PACKAGE, 'rust');

fs.rmSync(STAGED, { recursive: true, force: true });
fs.rmSync(path.join(PACKAGE, 'LICENSE'), { force: true });
if (!process.argv.includes('--clean')) {
  execFileSync(path.join(REPOSITORY, 'scripts', 'stage-rust'), [STAGED, 'bindings/node'], { stdio: 'inherit' });
  fs.copyFileSync(path.join(REPOSITORY, 'LICENSE'), path.join(PACKAGE, 'LICENSE'));
}
