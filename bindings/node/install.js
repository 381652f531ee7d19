'use strict';
// Sees to the native library: nothing to do where a prebuilt one was installed, else it is built from
// the sources that the package carries. KAFFIC_PROFILE names another of Cargo's profiles than `dist`.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { BUILT, find, platformPackage } = require('./lib/addon.js');

const FILES = { darwin: 'libkaffic_node.dylib', linux: 'libkaffic_node.so', win32: 'kaffic_node.dll' };

function main() {
  const rebuild = process.argv.includes('--rebuild');
  if (find() !== undefined && !rebuild) return;
  // In the package the sources are beside this file; in the repository this is a part of them.
  const packed = path.join(__dirname, 'rust');
  const sources = fs.existsSync(packed) ? packed : path.join(__dirname, '..', '..');
  const profile = process.env.KAFFIC_PROFILE ?? 'dist';
  const target = process.env.CARGO_TARGET_DIR ?? path.join(sources, 'target');
  console.error(`kaffic: there is no ${platformPackage()}; building the native library with cargo`);
  const args = ['build', '--locked', '-p', 'kaffic-node', '--profile', profile, '--target-dir', target];
  const built = spawnSync('cargo', args, { cwd: sources, stdio: 'inherit' });
  if (built.error?.code === 'ENOENT') {
    fail('there is no cargo. Get a Rust toolchain (1.88 or newer) from https://rustup.rs, and install kaffic again.');
  }
  if (built.error !== undefined) fail(built.error.message);
  if (built.status !== 0) fail(`cargo has failed; what it said is above.`);
  const folder = profile === 'dev' ? 'debug' : profile;
  // A library that is loaded somewhere is not written over, but replaced.
  fs.copyFileSync(path.join(target, folder, FILES[process.platform] ?? FILES.linux), `${BUILT}.new`);
  fs.renameSync(`${BUILT}.new`, BUILT);
  if (sources === packed && process.env.CARGO_TARGET_DIR === undefined) {
    fs.rmSync(target, { recursive: true, force: true });
  }
}

function fail(why) {
  console.error(`kaffic can't be built: ${why}`);
  process.exit(1);
}

main();
