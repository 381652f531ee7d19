'use strict';
// Makes what a release consists of: the package, and one with the native library for this platform, on
// which the other depends where it fits. Only there is it named: a checkout has no such package to
// depend on. Usage: node packaging/release.js FOLDER, after `node install.js --rebuild`.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { BUILT, platformPackage } = require('../lib/addon.js');

const PACKAGE = path.join(__dirname, '..');

const read = (folder) => JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
const write = (folder, manifest) =>
  fs.writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
const pack = (folder, into) =>
  execFileSync('npm', ['pack', '--silent', '--pack-destination', into], { cwd: folder, stdio: 'inherit' });

/** The platforms that have a package. */
function platforms() {
  return fs.readdirSync(path.join(PACKAGE, 'npm'));
}

function release(into) {
  fs.mkdirSync(into, { recursive: true });
  const { version } = read(PACKAGE);
  const names = platforms().map((platform) => `kaffic-${platform}`);
  if (!names.includes(platformPackage())) {
    throw new Error(`npm/ has nothing for ${platformPackage()}; it has ${names.join(', ')}`);
  }
  const platform = path.join(PACKAGE, 'npm', platformPackage().replace('kaffic-', ''));
  if (read(platform).version !== version) throw new Error(`the version in ${platform} is not ${version}`);
  fs.copyFileSync(BUILT, path.join(platform, 'kaffic.node'));
  pack(platform, into);

  const manifest = read(PACKAGE);
  const optionalDependencies = Object.fromEntries(names.map((name) => [name, version]));
  const before = fs.readFileSync(path.join(PACKAGE, 'package.json'));
  try {
    write(PACKAGE, { ...manifest, optionalDependencies });
    pack(PACKAGE, into);
  } finally {
    fs.writeFileSync(path.join(PACKAGE, 'package.json'), before);
  }
}

const [into] = process.argv.slice(2);
if (into === undefined) throw new Error('usage: node packaging/release.js FOLDER');
release(path.resolve(into));
